package main

import (
	"context"
	"fmt"
	"strconv"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
)

// Lock is held, or waited for.
type Lock struct {
	session *concurrency.Session
	mutex   *concurrency.Mutex
}

// Candidate is in an election.
type Candidate struct {
	session  *concurrency.Session
	election *concurrency.Election
}

func (program *Program) grant(ctx context.Context, command Command) (Object, error) {
	granted, err := program.client.Grant(ctx, command.TTL)
	if err != nil {
		return nil, err
	}
	result := Object{"lease": strconv.FormatInt(int64(granted.ID), 10), "ttl": granted.TTL}
	if !command.Keep {
		return result, nil
	}
	alive, err := program.client.KeepAlive(ctx, granted.ID)
	if err != nil {
		return nil, err
	}
	say(command.ID, Object{"ok": result})
	for answer := range alive {
		say(command.ID, Object{"alive": answer.TTL})
	}
	say(command.ID, Object{"ended": Object{"code": nil, "message": "the channel is closed"}})
	return nil, nil
}

func (program *Program) keepAlive(ctx context.Context, command Command) (Object, error) {
	answer, err := program.client.KeepAliveOnce(ctx, leaseID(command.Lease))
	if err != nil {
		return nil, err
	}
	return Object{"ttl": answer.TTL}, nil
}

func (program *Program) timeToLive(ctx context.Context, command Command) (Object, error) {
	answer, err := program.client.TimeToLive(ctx, leaseID(command.Lease), clientv3.WithAttachedKeys())
	if err != nil {
		return nil, err
	}
	keys := []string{}
	for _, key := range answer.Keys {
		keys = append(keys, string(key))
	}
	return Object{"ttl": answer.TTL, "granted": answer.GrantedTTL, "keys": keys}, nil
}

func (program *Program) watch(ctx context.Context, command Command) error {
	ctx, cancel := context.WithCancel(ctx)
	program.mutex.Lock()
	program.undo[command.ID] = cancel
	program.mutex.Unlock()
	options := []clientv3.OpOption{clientv3.WithRev(command.From), clientv3.WithCreatedNotify()}
	if command.End != "" {
		options = append(options, clientv3.WithRange(command.End))
	}
	if command.Progress {
		options = append(options, clientv3.WithProgressNotify())
	}
	for answer := range program.client.Watch(ctx, command.Key, options...) {
		switch {
		case answer.Err() != nil:
			say(command.ID, Object{"ended": refusal(answer.Err())})
		case answer.Created:
			say(command.ID, Object{"ok": Object{}})
		case answer.IsProgressNotify():
			say(command.ID, Object{"progress": answer.Header.Revision})
		}
		for _, event := range answer.Events {
			line := pair(event.Kv)
			line["kind"] = "put"
			if event.Type == clientv3.EventTypeDelete {
				line["kind"] = "delete"
			}
			say(command.ID, Object{"event": line})
		}
	}
	return nil
}

func (program *Program) cancel(command Command) (Object, error) {
	program.mutex.Lock()
	defer program.mutex.Unlock()
	program.undo[command.Of]()
	return Object{}, nil
}

func (program *Program) lock(ctx context.Context, command Command) (Object, error) {
	session, err := concurrency.NewSession(program.client, concurrency.WithTTL(sessionTTL))
	if err != nil {
		return nil, err
	}
	lock := &Lock{session, concurrency.NewMutex(session, command.Name)}
	if err := lock.mutex.Lock(ctx); err != nil {
		return nil, err
	}
	program.mutex.Lock()
	defer program.mutex.Unlock()
	program.locks[command.ID] = lock
	return Object{"key": lock.mutex.Key()}, nil
}

func (program *Program) unlock(ctx context.Context, command Command) (Object, error) {
	program.mutex.Lock()
	lock := program.locks[command.Of]
	program.mutex.Unlock()
	if err := lock.mutex.Unlock(ctx); err != nil {
		return nil, err
	}
	return Object{}, lock.session.Close()
}

func (program *Program) campaign(ctx context.Context, command Command) (Object, error) {
	session, err := concurrency.NewSession(program.client, concurrency.WithTTL(sessionTTL))
	if err != nil {
		return nil, err
	}
	candidate := &Candidate{session, concurrency.NewElection(session, command.Name)}
	if err := candidate.election.Campaign(ctx, command.Value); err != nil {
		return nil, err
	}
	program.mutex.Lock()
	defer program.mutex.Unlock()
	program.elections[command.ID] = candidate
	return Object{"key": candidate.election.Key()}, nil
}

// leader has a session only because the client makes no election without one.
func (program *Program) leader(ctx context.Context, command Command) (Object, error) {
	session, err := concurrency.NewSession(program.client, concurrency.WithTTL(sessionTTL))
	if err != nil {
		return nil, err
	}
	defer session.Close()
	answer, err := concurrency.NewElection(session, command.Name).Leader(ctx)
	if err == concurrency.ErrElectionNoLeader {
		return Object{"value": nil}, nil
	}
	if err != nil {
		return nil, err
	}
	return Object{"value": string(answer.Kvs[0].Value)}, nil
}

func (program *Program) resign(ctx context.Context, command Command) (Object, error) {
	program.mutex.Lock()
	candidate, known := program.elections[command.Of]
	program.mutex.Unlock()
	if !known {
		return nil, fmt.Errorf("not elected: %d", command.Of)
	}
	if err := candidate.election.Resign(ctx); err != nil {
		return nil, err
	}
	return Object{}, candidate.session.Close()
}

const sessionTTL = 30
