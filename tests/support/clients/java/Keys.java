import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import io.etcd.jetcd.KV;
import io.etcd.jetcd.KeyValue;
import io.etcd.jetcd.kv.DeleteResponse;
import io.etcd.jetcd.kv.GetResponse;
import io.etcd.jetcd.kv.TxnResponse;
import io.etcd.jetcd.op.Cmp;
import io.etcd.jetcd.op.CmpTarget;
import io.etcd.jetcd.op.Op;
import io.etcd.jetcd.options.DeleteOption;
import io.etcd.jetcd.options.GetOption;
import io.etcd.jetcd.options.PutOption;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.concurrent.CompletableFuture;

/** Keys: put, get, delete, transactions. */
final class Keys {
    private final KV client;

    Keys(KV client) {
        this.client = client;
    }

    CompletableFuture<JsonObject> put(JsonObject command) {
        var put = client.put(Main.bytes(command, "key"), Main.bytes(command, "value"), putOption(command));
        return put.thenApply(answer -> {
            JsonObject result = Main.object("revision", answer.getHeader().getRevision());
            if (answer.hasPrevKv()) {
                result.add("prev", Main.json(answer.getPrevKv().getValue()));
            }
            return result;
        });
    }

    CompletableFuture<JsonObject> get(JsonObject command) {
        return client.get(Main.bytes(command, "key"), getOption(command)).thenApply(answer -> {
            JsonObject result = found(answer);
            result.addProperty("revision", answer.getHeader().getRevision());
            return result;
        });
    }

    CompletableFuture<JsonObject> delete(JsonObject command) {
        return client.delete(Main.bytes(command, "key"), deleteOption(command)).thenApply(answer ->
            Main.object("revision", answer.getHeader().getRevision(), "deleted", answer.getDeleted()));
    }

    CompletableFuture<JsonObject> txn(JsonObject command) {
        List<Cmp> conditions = new ArrayList<>();
        for (JsonElement compare : list(command, "if")) {
            conditions.add(condition(compare.getAsJsonObject()));
        }
        return client.txn()
            .If(conditions.toArray(Cmp[]::new))
            .Then(operations(list(command, "then")))
            .Else(operations(list(command, "else")))
            .commit()
            .thenApply(answer -> Main.object(
                "revision", answer.getHeader().getRevision(),
                "succeeded", answer.isSucceeded(),
                "answers", answers(list(command, answer.isSucceeded() ? "then" : "else"), answer)));
    }

    static JsonObject pair(KeyValue kv) {
        return Main.object(
            "key", kv.getKey(), "value", kv.getValue(), "version", kv.getVersion(),
            "created", kv.getCreateRevision(), "modified", kv.getModRevision(),
            "lease", Long.toString(kv.getLease()));
    }

    /** jetcd sorts the answers by their kind. */
    private static JsonArray answers(JsonArray commands, TxnResponse answer) {
        Iterator<GetResponse> gets = answer.getGetResponses().iterator();
        Iterator<DeleteResponse> deletes = answer.getDeleteResponses().iterator();
        JsonArray answers = new JsonArray();
        for (JsonElement command : commands) {
            answers.add(switch (command.getAsJsonObject().get("do").getAsString()) {
                case "get" -> found(gets.next());
                case "delete" -> Main.object("deleted", deletes.next().getDeleted());
                default -> new JsonObject();
            });
        }
        return answers;
    }

    private static Op[] operations(JsonArray commands) {
        List<Op> operations = new ArrayList<>();
        for (JsonElement element : commands) {
            JsonObject command = element.getAsJsonObject();
            var key = Main.bytes(command, "key");
            operations.add(switch (command.get("do").getAsString()) {
                case "put" -> Op.put(key, Main.bytes(command, "value"), putOption(command));
                case "get" -> Op.get(key, getOption(command));
                case "delete" -> Op.delete(key, deleteOption(command));
                default -> throw new IllegalArgumentException(command + " is no operation");
            });
        }
        return operations.toArray(Op[]::new);
    }

    private static Cmp condition(JsonObject compare) {
        long number = Main.number(compare, "number");
        CmpTarget<?> target = switch (compare.get("target").getAsString()) {
            case "value" -> CmpTarget.value(Main.bytes(compare, "value"));
            case "version" -> CmpTarget.version(number);
            case "created" -> CmpTarget.createRevision(number);
            case "modified" -> CmpTarget.modRevision(number);
            default -> throw new IllegalArgumentException(compare + " has no target");
        };
        Cmp.Op is = switch (compare.get("is").getAsString()) {
            case "=" -> Cmp.Op.EQUAL;
            case "!=" -> Cmp.Op.NOT_EQUAL;
            case ">" -> Cmp.Op.GREATER;
            case "<" -> Cmp.Op.LESS;
            default -> throw new IllegalArgumentException(compare + " does not compare");
        };
        return new Cmp(Main.bytes(compare, "key"), is, target);
    }

    private static PutOption putOption(JsonObject command) {
        PutOption.Builder option = PutOption.builder();
        if (command.has("lease")) {
            option.withLeaseId(Streams.lease(command));
        }
        if (Main.is(command, "prev")) {
            option.withPrevKV();
        }
        return option.build();
    }

    private static GetOption getOption(JsonObject command) {
        GetOption.Builder option = GetOption.builder()
            .withLimit(Main.number(command, "limit"))
            .withRevision(Main.number(command, "revision"));
        if (command.has("end")) {
            option.withRange(Main.bytes(command, "end"));
        }
        return option.build();
    }

    private static DeleteOption deleteOption(JsonObject command) {
        DeleteOption.Builder option = DeleteOption.builder();
        if (command.has("end")) {
            option.withRange(Main.bytes(command, "end"));
        }
        return option.build();
    }

    private static JsonObject found(GetResponse answer) {
        List<JsonObject> kvs = new ArrayList<>();
        for (KeyValue kv : answer.getKvs()) {
            kvs.add(pair(kv));
        }
        return Main.object("kvs", Main.array(kvs), "more", answer.isMore(), "count", answer.getCount());
    }

    private static JsonArray list(JsonObject command, String name) {
        return command.has(name) ? command.getAsJsonArray(name) : new JsonArray();
    }
}
