"""The etcd3 package for Python, through the sidecar: python_client.py HOST PORT.

It speaks gRPC by grpcio, whose C core shares no code with Go's implementation or ours. Every check is an assertion
here; the Rust test only looks at the exit status.
"""

import os
import queue
import sys
import tempfile
import time

import etcd3
import etcd3.etcdrpc as rpc
import grpc

WAIT = 10


def at(client, key, revision):
    """A read in the past, which the package itself does not offer."""
    return client.kvstub.Range(rpc.RangeRequest(key=key.encode(), revision=revision), WAIT)


def refused(text, call):
    try:
        call()
    except grpc.RpcError as error:
        assert text in error.details(), error
    else:
        raise AssertionError(f"not refused: {text}")


def key_values(client):
    client.put("py/a", "1")
    value, meta = client.get("py/a")
    assert value == b"1", value
    assert meta.key == b"py/a" and meta.version == 1, meta.version
    assert meta.create_revision == meta.mod_revision == meta.response_header.revision

    previous = client.put("py/a", "2", prev_kv=True)
    assert previous.prev_kv.value == b"1", previous
    assert client.get("py/absent") == (None, None)
    assert client.get("py/a", serializable=True)[0] == b"2"
    first = at(client, "py/a", meta.mod_revision)
    assert first.kvs[0].value == b"1", first

    client.put("py/b", b"\x00\xff")
    found = [(meta.key, value) for value, meta in client.get_prefix("py/")]
    assert found == [(b"py/a", b"2"), (b"py/b", b"\x00\xff")], found
    backwards = [meta.key for _, meta in client.get_prefix("py/", sort_order="descend", sort_target="key")]
    assert backwards == [b"py/b", b"py/a"], backwards
    keys = [(meta.key, value) for value, meta in client.get_prefix("py/", keys_only=True)]
    assert keys == [(b"py/a", b""), (b"py/b", b"")], keys
    assert len(list(client.get_range("py/a", "py/b"))) == 1

    large = os.urandom(1_000_000)
    client.put("py/large", large)
    assert client.get("py/large")[0] == large

    assert client.delete("py/large") is True
    assert client.delete("py/large") is False
    assert client.delete_prefix("py/").deleted == 2
    assert list(client.get_prefix("py/")) == []


def transactions(client):
    assert client.put_if_not_exists("py/once", "1") is True
    assert client.put_if_not_exists("py/once", "2") is False
    assert client.replace("py/once", "1", "3") is True
    assert client.replace("py/once", "1", "4") is False

    done, answers = client.transaction(
        compare=[client.transactions.value("py/once") == "3", client.transactions.version("py/once") > 1],
        success=[client.transactions.put("py/then", "yes"), client.transactions.get("py/once")],
        failure=[client.transactions.put("py/then", "no")],
    )
    assert done is True and answers[1][0][0] == b"3", answers
    done, answers = client.transaction(
        compare=[client.transactions.mod("py/once") == 0],
        success=[],
        failure=[client.transactions.delete("py/then"), client.transactions.get("py/then")],
    )
    assert done is False and answers[1] == [], answers


def watches(client):
    events = queue.Queue()
    number = client.add_watch_prefix_callback("py/watched/", events.put)
    client.put("py/watched/a", "1")
    client.put("py/watched/a", "2")
    client.put("py/elsewhere", "1")
    client.delete("py/watched/a")
    seen = []
    while len(seen) < 3:
        seen.extend(events.get(timeout=WAIT).events)
    kinds = [(type(event).__name__, event.key, event.value) for event in seen]
    assert kinds == [
        ("PutEvent", b"py/watched/a", b"1"),
        ("PutEvent", b"py/watched/a", b"2"),
        ("DeleteEvent", b"py/watched/a", b""),
    ], kinds
    client.cancel_watch(number)

    # From the past, as an iterator.
    start = seen[0].mod_revision
    history, cancel = client.watch_prefix("py/watched/", start_revision=start)
    replayed = [next(history).mod_revision for _ in range(3)]
    assert replayed == [event.mod_revision for event in seen], replayed
    cancel()


def leases(client):
    lease = client.lease(600)
    assert lease.granted_ttl == 600, lease.granted_ttl
    client.put("py/leased", "1", lease=lease)
    assert lease.keys == [b"py/leased"], lease.keys
    assert 590 <= lease.remaining_ttl <= 600
    (refreshed,) = lease.refresh()
    assert refreshed.TTL == 600 and refreshed.ID == lease.id, refreshed
    lease.revoke()
    assert client.get("py/leased") == (None, None)

    short = client.lease(2)
    client.put("py/short", "1", lease=short)
    deadline = time.monotonic() + WAIT
    while client.get("py/short")[0] is not None:
        assert time.monotonic() < deadline, "the lease does not expire"
        time.sleep(0.1)


def locks(client, other):
    # A second client does not contend: the package does not work with the tenacity of today there.
    with client.lock("py-lock", ttl=20) as held:
        assert held.is_acquired()
        assert other.get(held.key)[0] == held.uuid
        assert len(held.refresh()) == 1
    assert other.get(held.key) == (None, None)
    next_one = other.lock("py-lock", ttl=20)
    assert next_one.acquire(timeout=WAIT) is True
    assert next_one.release() is True


def errors(client):
    refused("requested lease not found", lambda: client.put("py/leased", "1", lease=4711))
    refused("key is not provided", lambda: client.get(""))
    refused("future revision", lambda: at(client, "py/once", 1_000_000))


def maintenance(client):
    status = client.status()
    assert status.version.startswith("3."), status.version
    assert status.db_size > 0 and status.raft_term > 0
    members = list(client.members)
    assert len(members) == 1 and members[0].id == status.leader.id, members
    assert members[0].client_urls and members[0].peer_urls
    assert list(client.list_alarms()) == []
    assert client.hash() is not None

    with tempfile.TemporaryFile() as file:
        client.snapshot(file)
        size = file.tell()
        # A database of whole pages and its SHA-256.
        assert size % 512 == 32, size

    _, meta = client.get("py/once")
    revision = meta.response_header.revision
    client.compact(revision)
    refused("compacted", lambda: at(client, "py/once", revision - 1))
    client.defragment()


def main():
    host, port = sys.argv[1], int(sys.argv[2])
    client = etcd3.client(host=host, port=port, timeout=WAIT)
    other = etcd3.client(host=host, port=port, timeout=WAIT)
    key_values(client)
    transactions(client)
    watches(client)
    leases(client)
    locks(client, other)
    errors(client)
    maintenance(client)
    print("python client: all well")
    # Its threads for watches would keep the interpreter.
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    try:
        main()
    except BaseException:
        sys.excepthook(*sys.exc_info())
        sys.stderr.flush()
        os._exit(1)
