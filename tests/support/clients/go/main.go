// The official Go client, driven by lines: the protocol is described in tests/clients/main.rs.
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"sync"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Command is one line of the input: what a command does not need is missing in it.
type Command struct {
	ID int64  `json:"id"`
	Do string `json:"do"`

	URL      string `json:"url"`
	CA       string `json:"ca"`
	User     string `json:"user"`
	Password string `json:"password"`

	Key      string `json:"key"`
	End      string `json:"end"`
	Value    string `json:"value"`
	Lease    string `json:"lease"`
	Limit    int64  `json:"limit"`
	Revision int64  `json:"revision"`
	Prev     bool   `json:"prev"`

	If   []Compare `json:"if"`
	Then []Command `json:"then"`
	Else []Command `json:"else"`

	TTL      int64  `json:"ttl"`
	Keep     bool   `json:"keep"`
	From     int64  `json:"from"`
	Progress bool   `json:"progress"`
	Of       int64  `json:"of"`
	Name     string `json:"name"`
}

// Object is a JSON object.
type Object map[string]any

// Program is what commands leave behind for later ones.
type Program struct {
	client *clientv3.Client

	mutex     sync.Mutex
	undo      map[int64]context.CancelFunc // watches, by the command that made them
	locks     map[int64]*Lock
	elections map[int64]*Candidate
}

func main() {
	program := &Program{
		undo:      map[int64]context.CancelFunc{},
		locks:     map[int64]*Lock{},
		elections: map[int64]*Candidate{},
	}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var command Command
		if err := json.Unmarshal(lines.Bytes(), &command); err != nil {
			panic(err)
		}
		if command.Do == "open" {
			program.answer(command) // what follows needs its client
		} else {
			go program.answer(command)
		}
	}
	if program.client != nil {
		program.client.Close()
	}
}

var output sync.Mutex

func say(id int64, object Object) {
	object["id"] = id
	line, err := json.Marshal(object)
	if err != nil {
		panic(err)
	}
	output.Lock()
	defer output.Unlock()
	os.Stdout.Write(append(line, '\n'))
}

func (program *Program) answer(command Command) {
	result, err := program.do(context.Background(), command)
	if err != nil {
		say(command.ID, Object{"error": refusal(err)})
	} else if result != nil {
		say(command.ID, Object{"ok": result})
	}
}

// do gives nil for a command that has answered by itself.
func (program *Program) do(ctx context.Context, command Command) (Object, error) {
	switch command.Do {
	case "open":
		return program.open(command)
	case "put":
		return program.put(ctx, command)
	case "get":
		return program.get(ctx, command)
	case "delete":
		return program.delete(ctx, command)
	case "txn":
		return program.txn(ctx, command)
	case "grant":
		return program.grant(ctx, command)
	case "keep_alive":
		return program.keepAlive(ctx, command)
	case "time_to_live":
		return program.timeToLive(ctx, command)
	case "revoke":
		_, err := program.client.Revoke(ctx, leaseID(command.Lease))
		return Object{}, err
	case "watch":
		return nil, program.watch(ctx, command)
	case "cancel":
		return program.cancel(command)
	case "lock":
		return program.lock(ctx, command)
	case "unlock":
		return program.unlock(ctx, command)
	case "campaign":
		return program.campaign(ctx, command)
	case "leader":
		return program.leader(ctx, command)
	case "resign":
		return program.resign(ctx, command)
	}
	return nil, fmt.Errorf("no command %q", command.Do)
}

func (program *Program) open(command Command) (Object, error) {
	config := clientv3.Config{
		Endpoints: []string{command.URL},
		Username:  command.User,
		Password:  command.Password,
	}
	if command.CA != "" {
		pem, err := os.ReadFile(command.CA)
		if err != nil {
			return nil, err
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(pem)
		config.TLS = &tls.Config{RootCAs: pool}
	}
	client, err := clientv3.New(config)
	if err != nil {
		return nil, err
	}
	program.client = client
	return Object{"client": "go.etcd.io/etcd/client/v3 " + version()}, nil
}

func version() string {
	info, _ := debug.ReadBuildInfo()
	for _, module := range info.Deps {
		if module.Path == "go.etcd.io/etcd/client/v3" {
			return module.Version
		}
	}
	return "?"
}

func refusal(err error) Object {
	var own rpctypes.EtcdError
	if errors.As(err, &own) {
		return Object{"code": own.Code(), "message": own.Error()}
	}
	if answered, ok := status.FromError(err); ok && answered.Code() != codes.OK {
		return Object{"code": answered.Code(), "message": answered.Message()}
	}
	return Object{"code": nil, "message": err.Error()}
}
