import com.google.gson.JsonObject;
import io.etcd.jetcd.ByteSequence;
import io.etcd.jetcd.Client;
import io.etcd.jetcd.Watch;
import io.etcd.jetcd.election.LeaderKey;
import io.etcd.jetcd.election.NoLeaderException;
import io.etcd.jetcd.lease.LeaseKeepAliveResponse;
import io.etcd.jetcd.options.LeaseOption;
import io.etcd.jetcd.options.WatchOption;
import io.etcd.jetcd.watch.WatchEvent;
import io.etcd.jetcd.watch.WatchResponse;
import io.grpc.stub.StreamObserver;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicBoolean;

/** What lasts: leases, watches, locks, elections. */
final class Streams {
    private static final long SESSION_TTL = 30;

    private final Client client;
    private final Map<Long, Watch.Watcher> watches = new ConcurrentHashMap<>();
    private final Map<Long, Lock> locks = new ConcurrentHashMap<>();
    private final Map<Long, LeaderKey> candidates = new ConcurrentHashMap<>();

    private record Lock(ByteSequence key, long lease) {}

    Streams(Client client) {
        this.client = client;
    }

    static long lease(JsonObject command) {
        return Long.parseLong(command.get("lease").getAsString());
    }

    CompletableFuture<JsonObject> grant(JsonObject command) {
        return client.getLeaseClient().grant(Main.number(command, "ttl")).thenApply(granted -> {
            JsonObject result = Main.object("lease", Long.toString(granted.getID()), "ttl", granted.getTTL());
            if (!Main.is(command, "keep")) {
                return result;
            }
            long id = id(command);
            Main.say(id, "ok", result);
            client.getLeaseClient().keepAlive(granted.getID(), new StreamObserver<>() {
                @Override
                public void onNext(LeaseKeepAliveResponse answer) {
                    Main.say(id, "alive", answer.getTTL());
                }

                // It tries again after this.
                @Override
                public void onError(Throwable error) {
                    Main.say(id, "broken", Main.refusal(error));
                }

                @Override
                public void onCompleted() {
                    Main.say(id, "ended", Main.object("code", null, "message", "the lease is overdue"));
                }
            });
            return null;
        });
    }

    CompletableFuture<JsonObject> keepAlive(JsonObject command) {
        return client.getLeaseClient().keepAliveOnce(lease(command))
            .thenApply(answer -> Main.object("ttl", answer.getTTL()));
    }

    CompletableFuture<JsonObject> timeToLive(JsonObject command) {
        LeaseOption option = LeaseOption.builder().withAttachedKeys().build();
        return client.getLeaseClient().timeToLive(lease(command), option).thenApply(answer -> Main.object(
            "ttl", answer.getTTL(), "granted", answer.getGrantedTTL(), "keys", Main.array(answer.getKeys())));
    }

    CompletableFuture<JsonObject> revoke(JsonObject command) {
        return client.getLeaseClient().revoke(lease(command)).thenApply(answer -> new JsonObject());
    }

    CompletableFuture<JsonObject> watch(JsonObject command) {
        WatchOption.Builder option = WatchOption.builder()
            .withRevision(Main.number(command, "from"))
            .withProgressNotify(Main.is(command, "progress"))
            .withCreateNotify(true);
        if (command.has("end")) {
            option.withRange(Main.bytes(command, "end"));
        }
        long id = id(command);
        AtomicBoolean created = new AtomicBoolean();
        Watch.Listener listener = Watch.listener(
            answer -> {
                if (!answer.isCreatedNotify()) {
                    show(id, answer);
                } else if (!created.getAndSet(true)) {
                    Main.say(id, "ok", new JsonObject());
                }
            },
            // It tries again after most of these.
            error -> Main.say(id, "broken", Main.refusal(error)));
        watches.put(id, client.getWatchClient().watch(Main.bytes(command, "key"), option.build(), listener));
        return CompletableFuture.completedFuture(null);
    }

    private static void show(long id, WatchResponse answer) {
        if (answer.getEvents().isEmpty()) {
            Main.say(id, "progress", answer.getHeader().getRevision());
        }
        for (WatchEvent event : answer.getEvents()) {
            JsonObject line = Keys.pair(event.getKeyValue());
            line.addProperty("kind", event.getEventType() == WatchEvent.EventType.PUT ? "put" : "delete");
            Main.say(id, "event", line);
        }
    }

    CompletableFuture<JsonObject> cancel(JsonObject command) {
        watches.remove(of(command)).close();
        return CompletableFuture.completedFuture(new JsonObject());
    }

    CompletableFuture<JsonObject> lock(JsonObject command) {
        return client.getLeaseClient().grant(SESSION_TTL).thenCompose(granted ->
            client.getLockClient().lock(Main.bytes(command, "name"), granted.getID()).thenApply(held -> {
                locks.put(id(command), new Lock(held.getKey(), granted.getID()));
                return Main.object("key", held.getKey());
            }));
    }

    CompletableFuture<JsonObject> unlock(JsonObject command) {
        Lock lock = locks.remove(of(command));
        return client.getLockClient().unlock(lock.key())
            .thenCompose(done -> client.getLeaseClient().revoke(lock.lease()))
            .thenApply(done -> new JsonObject());
    }

    CompletableFuture<JsonObject> campaign(JsonObject command) {
        return client.getLeaseClient().grant(SESSION_TTL).thenCompose(granted ->
            client.getElectionClient()
                .campaign(Main.bytes(command, "name"), granted.getID(), Main.bytes(command, "value"))
                .thenApply(elected -> {
                    candidates.put(id(command), elected.getLeader());
                    return Main.object("key", elected.getLeader().getKey());
                }));
    }

    CompletableFuture<JsonObject> leader(JsonObject command) {
        return client.getElectionClient().leader(Main.bytes(command, "name"))
            .thenApply(answer -> Main.object("value", answer.getKv().getValue()))
            .exceptionally(error -> {
                for (Throwable cause = error; cause != null; cause = cause.getCause()) {
                    if (cause instanceof NoLeaderException) {
                        return Main.object("value", null);
                    }
                }
                throw new CompletionException(error);
            });
    }

    CompletableFuture<JsonObject> resign(JsonObject command) {
        LeaderKey leader = candidates.remove(of(command));
        return client.getElectionClient().resign(leader)
            .thenCompose(done -> client.getLeaseClient().revoke(leader.getLease()))
            .thenApply(done -> new JsonObject());
    }

    private static long id(JsonObject command) {
        return command.get("id").getAsLong();
    }

    /** The command that this one is about. */
    private static long of(JsonObject command) {
        return command.get("of").getAsLong();
    }
}
