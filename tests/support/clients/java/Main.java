import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonNull;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import com.google.gson.JsonPrimitive;
import io.etcd.jetcd.ByteSequence;
import io.etcd.jetcd.Client;
import io.etcd.jetcd.ClientBuilder;
import io.etcd.jetcd.common.exception.EtcdException;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.io.BufferedReader;
import java.io.File;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.CompletableFuture;

/** jetcd, driven by lines: the protocol is described in tests/clients/main.rs. */
final class Main {
    private static final PrintStream OUTPUT = new PrintStream(System.out, false, StandardCharsets.UTF_8);

    private Client client;
    private Keys keys;
    private Streams streams;

    public static void main(String[] arguments) throws Exception {
        Main main = new Main();
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            main.answer(JsonParser.parseString(line).getAsJsonObject());
        }
        // Without waiting for what watches or waits.
        System.exit(0);
    }

    private void answer(JsonObject command) {
        long id = command.get("id").getAsLong();
        CompletableFuture<JsonObject> future;
        try {
            future = perform(command);
        } catch (Exception error) {
            future = CompletableFuture.failedFuture(error);
        }
        future.whenComplete((result, error) -> {
            if (error != null) {
                say(id, "error", refusal(error));
            } else if (result != null) {
                say(id, "ok", result);
            }
        });
    }

    /** Gives null for a command that answers by itself. */
    private CompletableFuture<JsonObject> perform(JsonObject command) throws Exception {
        return switch (command.get("do").getAsString()) {
            case "open" -> CompletableFuture.completedFuture(open(command));
            case "put" -> keys.put(command);
            case "get" -> keys.get(command);
            case "delete" -> keys.delete(command);
            case "txn" -> keys.txn(command);
            case "grant" -> streams.grant(command);
            case "keep_alive" -> streams.keepAlive(command);
            case "time_to_live" -> streams.timeToLive(command);
            case "revoke" -> streams.revoke(command);
            case "watch" -> streams.watch(command);
            case "cancel" -> streams.cancel(command);
            case "lock" -> streams.lock(command);
            case "unlock" -> streams.unlock(command);
            case "campaign" -> streams.campaign(command);
            case "leader" -> streams.leader(command);
            case "resign" -> streams.resign(command);
            default -> throw new IllegalArgumentException("no command " + command.get("do"));
        };
    }

    private JsonObject open(JsonObject command) throws Exception {
        ClientBuilder builder = Client.builder();
        if (command.has("ca")) {
            File ca = new File(command.get("ca").getAsString());
            // The name that the certificate must have: an endpoint's address is none to jetcd.
            builder.authority("localhost").sslContext(ssl -> ssl.trustManager(ca));
        }
        if (command.has("user")) {
            builder.user(bytes(command, "user")).password(bytes(command, "password"));
        }
        client = builder.endpoints(command.get("url").getAsString()).build();
        keys = new Keys(client.getKVClient());
        streams = new Streams(client);
        return object("client", "jetcd");
    }

    static void say(long id, String what, Object value) {
        JsonObject line = object("id", id, what, value);
        synchronized (OUTPUT) {
            OUTPUT.println(line);
            OUTPUT.flush();
        }
    }

    static JsonObject refusal(Throwable error) {
        // Where a call fails because another one did, the first status has no description.
        Status status = null;
        for (Throwable cause = error; cause != null; cause = cause.getCause()) {
            if (cause instanceof StatusRuntimeException answer
                && (status == null || status.getDescription() == null)) {
                status = answer.getStatus();
            }
        }
        if (status != null) {
            return object("code", status.getCode().value(), "message", String.valueOf(status.getDescription()));
        }
        for (Throwable cause = error; cause != null; cause = cause.getCause()) {
            if (cause instanceof EtcdException own) {
                int code = Status.Code.valueOf(own.getErrorCode().name()).value();
                return object("code", code, "message", String.valueOf(own.getMessage()));
            }
        }
        return object("code", null, "message", error.toString());
    }

    /** Of names and values in turn. */
    static JsonObject object(Object... members) {
        JsonObject object = new JsonObject();
        for (int at = 0; at < members.length; at += 2) {
            object.add((String) members[at], json(members[at + 1]));
        }
        return object;
    }

    static JsonElement json(Object value) {
        if (value == null) {
            return JsonNull.INSTANCE;
        } else if (value instanceof JsonElement element) {
            return element;
        } else if (value instanceof Number number) {
            return new JsonPrimitive(number);
        } else if (value instanceof Boolean truth) {
            return new JsonPrimitive(truth);
        } else if (value instanceof ByteSequence bytes) {
            return new JsonPrimitive(bytes.toString(StandardCharsets.UTF_8));
        }
        return new JsonPrimitive(value.toString());
    }

    static JsonArray array(Iterable<?> values) {
        JsonArray array = new JsonArray();
        for (Object value : values) {
            array.add(json(value));
        }
        return array;
    }

    static ByteSequence bytes(JsonObject command, String name) {
        return ByteSequence.from(command.get(name).getAsString(), StandardCharsets.UTF_8);
    }

    static long number(JsonObject command, String name) {
        return command.has(name) ? command.get(name).getAsLong() : 0;
    }

    static boolean is(JsonObject command, String name) {
        return command.has(name) && command.get(name).getAsBoolean();
    }
}
