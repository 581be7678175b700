import java.io.BufferedReader;
import java.io.FileReader;
import java.io.InputStreamReader;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.ExecutionException;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.DescribeShareGroupsOptions;
import org.apache.kafka.clients.admin.ListGroupsOptions;
import org.apache.kafka.clients.admin.ListShareGroupOffsetsSpec;
import org.apache.kafka.clients.admin.ShareGroupDescription;
import org.apache.kafka.clients.consumer.AcknowledgeType;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaShareConsumer;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.serialization.StringDeserializer;

/**
 * Kafka's Java share consumers and what administrators do with their groups, told what to do by lines on standard
 * input; one line of outcome for each.
 *
 * <p>java Share PROPERTIES-FILE. What goes wrong is told by the name Kafka has for it, for example
 * TOPIC_AUTHORIZATION_FAILED; what Kafka's message says besides goes to standard error.
 */
public class Share {
    private static final Duration PATIENCE = Duration.ofSeconds(30);

    /** A member of a share group that stays, and the record that it was given last. */
    private static class Member {
        KafkaShareConsumer<String, String> consumer;
        ConsumerRecord<String, String> held;
    }

    private final Properties properties;
    private final Admin client;
    private final Map<String, Member> members = new HashMap<>();

    private Share(Properties properties, Admin client) {
        this.properties = properties;
        this.client = client;
    }

    public static void main(String[] arguments) throws Exception {
        Properties properties = new Properties();
        try (FileReader file = new FileReader(arguments[0])) {
            properties.load(file);
        }
        try (Admin client = Admin.create(properties);
                var lines = new BufferedReader(new InputStreamReader(System.in))) {
            Share share = new Share(properties, client);
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                System.out.println(line + " -> " + share.outcome(line.trim().split(" +")));
                System.out.flush();
            }
            for (Member member : share.members.values()) {
                member.consumer.close();
            }
        }
    }

    private String outcome(String[] words) throws Exception {
        try {
            return ("ok " + perform(words)).trim();
        } catch (ExecutionException exception) {
            return named(words, exception.getCause());
        } catch (KafkaException exception) {
            return named(words, exception);
        }
    }

    private static String named(String[] words, Throwable cause) {
        System.err.println(String.join(" ", words) + ": " + cause);
        return Errors.forException(cause).name();
    }

    private String perform(String[] words) throws Exception {
        String name = words.length > 1 ? words[1] : "";
        switch (words[0]) {
            case "prepare": // GROUP: reads topics from their beginnings, and holds records for a minute
                prepare(name);
                return "";
            case "consume": // TOPIC GROUP COUNT: what is read is accepted with the next poll
                return consume(name, words[2], Integer.parseInt(words[3]));
            case "join": // MEMBER GROUP TOPIC...: becomes a member that takes records one by one, and stays
                join(name, words[2], Arrays.asList(words).subList(3, words.length));
                return "";
            case "take": // MEMBER [COUNT]: records, accepted at once but for the last, each with how often it was given
                return take(members.get(name), words.length > 2 ? Integer.parseInt(words[2]) : 1);
            case "accept":
            case "release":
            case "reject":
            case "renew": // MEMBER: the record that it took last
                return acknowledge(members.get(name), AcknowledgeType.valueOf(words[0].toUpperCase()));
            case "poll": // MEMBER: lives on, whatever comes
                members.get(name).consumer.poll(Duration.ofMillis(200));
                return "";
            case "leave": // MEMBER
                members.remove(name).consumer.close();
                return "";
            case "groups": // [PREFIX]
                return client.listGroups(ListGroupsOptions.forShareGroups()).all().get().stream()
                        .map(group -> group.groupId()).filter(group -> group.startsWith(name)).sorted()
                        .collect(Collectors.joining(" "));
            case "group": // GROUP: its state, and what its members read
                return describe(name);
            case "operations": // GROUP: what this client may do with it
                return client.describeShareGroups(
                                List.of(name), new DescribeShareGroupsOptions().includeAuthorizedOperations(true))
                        .all().get().get(name).authorizedOperations().stream()
                        .map(Enum::name).sorted().collect(Collectors.joining(" "));
            case "offsets": // GROUP [TOPIC...]: of partition 0 of these, or of all there are; and how far each lags
                return offsets(name, Arrays.asList(words).subList(2, words.length));
            case "set-offset": // GROUP OFFSET TOPIC...: for partition 0 of each
                return setOffsets(name, Long.parseLong(words[2]), Arrays.asList(words).subList(3, words.length));
            case "forget": // GROUP TOPIC...: what becomes of each
                return forget(name, Arrays.asList(words).subList(2, words.length));
            case "delete-group":
                client.deleteShareGroups(List.of(name)).all().get();
                return "";
            default:
                throw new IllegalArgumentException("no such command: " + words[0]);
        }
    }

    /** Waits until the config was seen several times in a row, whichever broker was asked. */
    private void prepare(String group) throws Exception {
        String key = "share.auto.offset.reset";
        ConfigResource resource = new ConfigResource(ConfigResource.Type.GROUP, group);
        client.incrementalAlterConfigs(Map.of(resource, List.of(
                new AlterConfigOp(new ConfigEntry("share.record.lock.duration.ms", "60000"), AlterConfigOp.OpType.SET),
                new AlterConfigOp(new ConfigEntry(key, "earliest"), AlterConfigOp.OpType.SET)))).all().get();
        int inARow = 0;
        for (int tries = 0; tries < 200 && inARow < 6; tries++) {
            var seen = client.describeConfigs(List.of(resource)).all().get().get(resource).get(key);
            inARow = seen != null && "earliest".equals(seen.value()) ? inARow + 1 : 0;
            if (inARow == 0) {
                Thread.sleep(50);
            }
        }
    }

    private KafkaShareConsumer<String, String> consumer(String group, Map<String, String> more) {
        Properties all = new Properties();
        all.putAll(properties);
        all.put("group.id", group);
        all.putAll(more);
        return new KafkaShareConsumer<>(all, new StringDeserializer(), new StringDeserializer());
    }

    private String consume(String topic, String group, int count) {
        List<String> values = new ArrayList<>();
        try (var consumer = consumer(group, Map.of())) {
            consumer.subscribe(List.of(topic));
            long deadline = System.nanoTime() + PATIENCE.toNanos();
            while (values.size() < count && System.nanoTime() < deadline) {
                consumer.poll(Duration.ofMillis(200)).forEach(record -> values.add(record.value()));
            }
            consumer.commitSync();
        }
        return String.join(" ", values);
    }

    private void join(String name, String group, List<String> topics) {
        Member member = new Member();
        member.consumer = consumer(group, Map.of(
                "share.acknowledgement.mode", "explicit",
                "share.acquire.mode", "record_limit",
                "max.poll.records", "1"));
        member.consumer.subscribe(topics);
        members.put(name, member);
    }

    private static String take(Member member, int count) {
        List<String> taken = new ArrayList<>();
        long deadline = System.nanoTime() + PATIENCE.toNanos();
        while (taken.size() < count && System.nanoTime() < deadline) {
            // In one go: a poll that ends without a record may leave a fetch behind, and the next asks for one more.
            for (var record : member.consumer.poll(Duration.ofNanos(deadline - System.nanoTime()))) {
                taken.add(record.value() + "/" + record.deliveryCount().orElse((short) 0));
                member.held = record;
                if (taken.size() < count) {
                    member.consumer.acknowledge(record);
                }
            }
        }
        return String.join(" ", taken);
    }

    private static String acknowledge(Member member, AcknowledgeType type) {
        member.consumer.acknowledge(member.held, type);
        Optional<KafkaException> wrong = member.consumer.commitSync().values().stream()
                .flatMap(Optional::stream).findFirst();
        if (wrong.isPresent()) {
            throw wrong.get();
        }
        return "";
    }

    private String describe(String group) throws Exception {
        ShareGroupDescription told = client.describeShareGroups(List.of(group)).all().get().get(group);
        TreeSet<String> read = new TreeSet<>();
        told.members().forEach(member -> member.assignment().topicPartitions()
                .forEach(partition -> read.add(partition.toString())));
        return "state=" + told.groupState() + " members=" + told.members().size() + " " + String.join(" ", read);
    }

    private String offsets(String group, List<String> topics) throws Exception {
        var asked = new ListShareGroupOffsetsSpec();
        if (!topics.isEmpty()) {
            asked.topicPartitions(topics.stream().map(topic -> new TopicPartition(topic, 0)).toList());
        }
        var told = client.listShareGroupOffsets(Map.of(group, asked)).partitionsToOffsetInfo(group).get();
        TreeMap<String, String> shown = new TreeMap<>();
        told.forEach((partition, info) -> shown.put(partition.toString(), info == null ? "none"
                : info.startOffset() + "/" + info.lag().map(Object::toString).orElse("unknown")));
        return shown.toString();
    }

    private interface Asked {
        void tell() throws Exception;
    }

    /** What became of one thing of several. */
    private static String each(Asked asked) throws Exception {
        try {
            asked.tell();
            return "ok";
        } catch (ExecutionException exception) {
            System.err.println(exception.getCause());
            return Errors.forException(exception.getCause()).name();
        }
    }

    private String setOffsets(String group, long offset, List<String> topics) throws Exception {
        Map<TopicPartition, Long> offsets = new HashMap<>();
        topics.forEach(topic -> offsets.put(new TopicPartition(topic, 0), offset));
        var result = client.alterShareGroupOffsets(group, offsets);
        List<String> outcomes = new ArrayList<>();
        for (String topic : topics) {
            outcomes.add(each(() -> result.partitionResult(new TopicPartition(topic, 0)).get()));
        }
        return String.join(" ", outcomes);
    }

    private String forget(String group, List<String> topics) throws Exception {
        var result = client.deleteShareGroupOffsets(group, Set.copyOf(topics));
        List<String> outcomes = new ArrayList<>();
        for (String topic : topics) {
            outcomes.add(each(() -> result.topicResult(topic).get()));
        }
        return String.join(" ", outcomes);
    }
}
