package main

import (
	"context"
	"fmt"
	"strconv"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Compare is one condition of a transaction.
type Compare struct {
	Key    string `json:"key"`
	Target string `json:"target"`
	Is     string `json:"is"`
	Value  string `json:"value"`
	Number int64  `json:"number"`
}

func (program *Program) put(ctx context.Context, command Command) (Object, error) {
	answer, err := program.client.Do(ctx, operation(command))
	if err != nil {
		return nil, err
	}
	put := answer.Put()
	result := Object{"revision": put.Header.Revision}
	if put.PrevKv != nil {
		result["prev"] = string(put.PrevKv.Value)
	}
	return result, nil
}

func (program *Program) get(ctx context.Context, command Command) (Object, error) {
	answer, err := program.client.Do(ctx, operation(command))
	if err != nil {
		return nil, err
	}
	get := answer.Get()
	result := found((*pb.RangeResponse)(get))
	result["revision"] = get.Header.Revision
	return result, nil
}

func (program *Program) delete(ctx context.Context, command Command) (Object, error) {
	answer, err := program.client.Do(ctx, operation(command))
	if err != nil {
		return nil, err
	}
	return Object{"revision": answer.Del().Header.Revision, "deleted": answer.Del().Deleted}, nil
}

func (program *Program) txn(ctx context.Context, command Command) (Object, error) {
	var conditions []clientv3.Cmp
	for _, compare := range command.If {
		conditions = append(conditions, condition(compare))
	}
	operations := func(commands []Command) (list []clientv3.Op) {
		for _, command := range commands {
			list = append(list, operation(command))
		}
		return list
	}
	txn := program.client.Txn(ctx).If(conditions...)
	answer, err := txn.Then(operations(command.Then)...).Else(operations(command.Else)...).Commit()
	if err != nil {
		return nil, err
	}
	answers := []Object{}
	for _, each := range answer.Responses {
		switch {
		case each.GetResponseRange() != nil:
			answers = append(answers, found(each.GetResponseRange()))
		case each.GetResponseDeleteRange() != nil:
			answers = append(answers, Object{"deleted": each.GetResponseDeleteRange().Deleted})
		default:
			answers = append(answers, Object{})
		}
	}
	return Object{"revision": answer.Header.Revision, "succeeded": answer.Succeeded, "answers": answers}, nil
}

func operation(command Command) clientv3.Op {
	var options []clientv3.OpOption
	if command.End != "" {
		options = append(options, clientv3.WithRange(command.End))
	}
	switch command.Do {
	case "put":
		if command.Lease != "" {
			options = append(options, clientv3.WithLease(leaseID(command.Lease)))
		}
		if command.Prev {
			options = append(options, clientv3.WithPrevKV())
		}
		return clientv3.OpPut(command.Key, command.Value, options...)
	case "get":
		options = append(options, clientv3.WithLimit(command.Limit), clientv3.WithRev(command.Revision))
		return clientv3.OpGet(command.Key, options...)
	case "delete":
		return clientv3.OpDelete(command.Key, options...)
	}
	panic(fmt.Sprintf("%q is no operation", command.Do))
}

func condition(compare Compare) clientv3.Cmp {
	switch compare.Target {
	case "value":
		return clientv3.Compare(clientv3.Value(compare.Key), compare.Is, compare.Value)
	case "version":
		return clientv3.Compare(clientv3.Version(compare.Key), compare.Is, compare.Number)
	case "created":
		return clientv3.Compare(clientv3.CreateRevision(compare.Key), compare.Is, compare.Number)
	case "modified":
		return clientv3.Compare(clientv3.ModRevision(compare.Key), compare.Is, compare.Number)
	}
	panic(fmt.Sprintf("%q is no target", compare.Target))
}

func found(answer *pb.RangeResponse) Object {
	kvs := []Object{}
	for _, kv := range answer.Kvs {
		kvs = append(kvs, pair(kv))
	}
	return Object{"kvs": kvs, "more": answer.More, "count": answer.Count}
}

func pair(kv *mvccpb.KeyValue) Object {
	return Object{
		"key": string(kv.Key), "value": string(kv.Value), "version": kv.Version,
		"created": kv.CreateRevision, "modified": kv.ModRevision, "lease": strconv.FormatInt(kv.Lease, 10),
	}
}

func leaseID(text string) clientv3.LeaseID {
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		panic(err)
	}
	return clientv3.LeaseID(id)
}
