"""The etcd3gw package for Python (OpenStack's), through the sidecar: gateway_client.py HOST PORT.

It speaks to the JSON gateway by requests, over connections that it keeps, and takes each chunk of a watch for a whole
message. Every check is an assertion here; the Rust test only looks at the exit status.
"""

import sys

import etcd3gw
from etcd3gw.utils import _encode


def keys(client):
    assert client.put("a", "1") and client.get("a") == [b"1"]
    assert client.create("b", "2") and not client.create("b", "3")
    assert client.replace("b", "2", "4") and not client.replace("b", "2", "5")
    assert [value for value, _ in client.get_all()] == [b"1", b"4"]
    assert client.get("a", metadata=True)[0][1]["version"] == "1"
    long = "x" * 1_000_000
    assert client.put("long", long) and client.get("long") == [long.encode()]
    assert client.delete("a") and not client.delete("a") and client.get("a") == []
    answer = client.transaction({
        "compare": [{"key": _encode("b"), "result": "EQUAL", "target": "VERSION", "version": 2}],
        "success": [{"request_range": {"key": _encode("b")}}],
        "failure": [],
    })
    assert answer["succeeded"] and answer["responses"][0]["response_range"]["count"] == "1", answer
    assert client.delete_prefix("b") and client.delete_prefix("lon")


def leases(client):
    lease = client.lease(60)
    client.put("leased", "1", lease=lease)
    assert lease.refresh() == 60 and 0 < lease.ttl() <= 60 and lease.keys() == [b"leased"]
    assert lease.revoke() and client.get("leased") == []
    with client.lock("name", ttl=60) as lock:
        assert lock.is_acquired() and not client.lock("name", ttl=60).acquire()
    assert client.lock("name", ttl=60).acquire()


def watches(client):
    events, cancel = client.watch("watched")
    for value in ["1", "2", "y" * 1_000_000]:
        client.put("watched", value)
        assert next(events)["kv"]["value"] == value.encode()
    client.delete("watched")
    assert next(events)["type"] == "DELETE"
    cancel()


def main():
    host, port = sys.argv[1:]
    client = etcd3gw.client(host=host, port=int(port), timeout=10, api_path=None)
    assert client.api_path == "/v3/"
    assert client.status()["version"] and client.members()[0]["clientURLs"]
    keys(client)
    leases(client)
    watches(client)


main()
