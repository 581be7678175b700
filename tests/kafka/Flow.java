import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.SubscriptionPattern;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.Metric;
import org.apache.kafka.common.MetricName;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.SslAuthenticationException;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Kafka's Java producer and consumer, told what to do by lines on standard input; one line of outcome for each.
 *
 * <p>java Flow PROPERTIES-FILE. Beside it there may be others, for {@code as NAME}.
 *
 * <p>What goes wrong is told by the name Kafka has for it, for example
 * TOPIC_AUTHORIZATION_FAILED; what Kafka's message says besides goes to standard error.
 */
public class Flow {
    private static final Duration PATIENCE = Duration.ofSeconds(30);
    /** Longer than the gateway or the broker takes to look for topics again. */
    private static final Duration PATIENCE_OF_MEMBERS = Duration.ofSeconds(60);
    private static final Map<String, String> ASSIGNED = Map.of("group.protocol", "consumer");
    private static final Map<String, String> COMMITTED = Map.of("isolation.level", "read_committed");

    /** The folder of the properties of all whom it may be. */
    private final Path folder;
    private Properties properties;
    /** The one who joined a group and stays. */
    private KafkaConsumer<String, String> member;
    /** The one who reads what it was given, in no group. */
    private KafkaConsumer<String, String> reader;
    /** Those of groups whose coordinator assigns the partitions, by their names here. */
    private final Map<String, KafkaConsumer<String, String>> members = new TreeMap<>();
    /** The one whose transaction is open. */
    private KafkaProducer<String, String> open;

    private Flow(Path file) throws IOException {
        this.folder = file.toAbsolutePath().getParent();
        this.properties = propertiesOf(file.getFileName().toString());
    }

    private Properties propertiesOf(String name) throws IOException {
        Properties found = new Properties();
        try (var file = Files.newBufferedReader(folder.resolve(name))) {
            found.load(file);
        }
        return found;
    }

    public static void main(String[] arguments) throws Exception {
        Flow flow = new Flow(Path.of(arguments[0]));
        try (var lines = new BufferedReader(new InputStreamReader(System.in))) {
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                System.out.println(line + " -> " + flow.outcome(line.trim().split(" +")));
                System.out.flush();
            }
        }
        flow.members.values().forEach(KafkaConsumer::close);
        if (flow.member != null) {
            flow.member.close();
        }
        if (flow.reader != null) {
            flow.reader.close();
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
        if (cause instanceof SslAuthenticationException) {
            return "SSL_AUTHENTICATION_FAILED"; // which Kafka itself has no code for: it is never told by a broker
        }
        return Errors.forException(cause).name();
    }

    private String perform(String[] words) throws Exception {
        switch (words[0]) {
            case "as": // NAME: from here on by the properties of this file
                properties = propertiesOf(words[1]);
                return "";
            case "renew": // TOPIC COUNT NAME...: writes as each of these until all have logged in again so many times
                return renew(words);
            case "produce": // TOPIC VALUE...
                return produce(words);
            case "produce-unanswered": // TOPIC VALUE: by acks=0; whether the connection was closed upon it
                return produceUnanswered(words[1], words[2]);
            case "keep-producing": // TOPIC SECONDS: on how many connections, and whether it logged in again
                return keepProducing(words[1], Integer.parseInt(words[2]));
            case "consume": // TOPIC[,TOPIC] GROUP COUNT
                return consume(words[1], words[2], Integer.parseInt(words[3]), Map.of());
            case "consume-committed": // TOPIC GROUP COUNT: what open and aborted transactions wrote is left out
                return consume(words[1], words[2], Integer.parseInt(words[3]), COMMITTED);
            case "consume-assigned": // TOPIC GROUP COUNT: as a member whose coordinator assigns the partitions
                return consume(words[1], words[2], Integer.parseInt(words[3]), ASSIGNED);
            case "subscribe": // NAME GROUP TOPIC: a member with this name, which stays
                memberOf(words, ASSIGNED).subscribe(List.of(words[3]));
                return "";
            case "subscribe-static": // NAME GROUP TOPIC INSTANCE
                memberOf(words, Map.of("group.protocol", "consumer", "group.instance.id", words[4]))
                        .subscribe(List.of(words[3]));
                return "";
            case "subscribe-classic": // NAME GROUP TOPIC
                memberOf(words, Map.of("group.protocol", "classic", "session.timeout.ms", "10000"))
                        .subscribe(List.of(words[3]));
                return "";
            case "subscribe-pattern": // NAME GROUP PATTERN: the broker looks for the topics
                memberOf(words, ASSIGNED).subscribe(new SubscriptionPattern(words[3]));
                return "";
            case "unsubscribe": // NAME
                members.get(words[1]).unsubscribe();
                return "";
            case "leave": // NAME
                members.remove(words[1]).close();
                return "";
            case "assigned": // COUNT: waits until the members have so many, each as many as the others; what they have
                return assigned(Integer.parseInt(words[1]));
            case "transact": // ID commit|abort|leave TOPIC VALUE TOPIC VALUE...: one left is neither, for a minute
                return transact(words);
            case "move": // ID FROM GROUP COUNT TO: what the group reads is written on, and both committed at once
                return move(words[1], words[2], words[3], Integer.parseInt(words[4]), words[5]);
            case "commit-offset": // ID GROUP TOPIC OFFSET: in a transaction that has nothing else, for partition 0
                return commitOffset(words[1], words[2], words[3], Long.parseLong(words[4]));
            case "fence": // ID TOPIC: a second producer takes the id; what the first one then is told
                return fence(words[1], words[2]);
            case "open": // ID TOPIC VALUE: begins a transaction that stays open
                open = transactional(words[1]);
                open.initTransactions();
                open.beginTransaction();
                open.send(new ProducerRecord<>(words[2], words[3])).get();
                return "";
            case "commit": // what was opened
                open.commitTransaction();
                open.close();
                return "";
            case "join": // TOPIC GROUP: becomes the group's member, commits once, and stays
                return join(words[1], words[2]);
            case "committed": // TOPIC: what the member finds committed for partition 0
                TopicPartition first = new TopicPartition(words[1], 0);
                OffsetAndMetadata found = member.committed(Set.of(first)).get(first);
                return found == null ? "nothing" : Long.toString(found.offset());
            case "spread": // VALUE TOPIC:PARTITIONS...: writes the value to each partition
                return spread(words);
            case "assign": // RACK|- TOPIC:PARTITIONS...: reads them from their beginning on, from now on
                return assign(words);
            case "poll": // COUNT: so many values more
                return String.join(" ", poll(Integer.parseInt(words[1])));
            case "poll-for": // VALUE: reads on until this one comes
                while (!poll(1).contains(words[1])) {}
                return "";
            case "count": // COUNT: how many values more, if there are so many
                return Integer.toString(poll(Integer.parseInt(words[1])).size());
            case "read-from": // which broker the reader was sent to for its first partition; -1: the leader
                return readFrom();
            default:
                throw new IllegalArgumentException("no such command: " + words[0]);
        }
    }

    private String produce(String[] words) throws Exception {
        try (var producer = producer(Map.of("acks", "all"))) {
            List<Future<?>> sent = new ArrayList<>();
            for (int place = 2; place < words.length; place++) {
                sent.add(producer.send(new ProducerRecord<>(words[1], words[place])));
            }
            for (Future<?> one : sent) {
                one.get();
            }
        }
        return "";
    }

    private String produceUnanswered(String topic, String value) throws Exception {
        // One attempt and no batch of a producer id before it: what is seen is about the record alone.
        try (var producer = producer(Map.of("acks", "0", "enable.idempotence", "false", "retries", "0"))) {
            producer.send(new ProducerRecord<>(topic, value)).get();
            long deadline = System.nanoTime() + Duration.ofSeconds(10).toNanos();
            while (System.nanoTime() < deadline) {
                if (total(producer, "connection-close-total") > 0) {
                    return "closed";
                }
                Thread.sleep(50);
            }
        }
        return "";
    }

    private String keepProducing(String topic, int seconds) throws Exception {
        try (var producer = producer(Map.of("acks", "all", "retries", "0", "linger.ms", "0"))) {
            long end = System.nanoTime() + Duration.ofSeconds(seconds).toNanos();
            while (System.nanoTime() < end) {
                producer.send(new ProducerRecord<>(topic, "value")).get();
                Thread.sleep(100);
            }
            // One to the bootstrap address and one to the broker; what was cut off would have been made again.
            long connections = total(producer, "connection-creation-total");
            boolean again = total(producer, "successful-reauthentication-total") > 0;
            return "connections=" + connections + " logged-in-again=" + again;
        }
    }

    private String renew(String[] words) throws Exception {
        int count = Integer.parseInt(words[2]);
        List<KafkaProducer<String, String>> producers = new ArrayList<>();
        for (int place = 3; place < words.length; place++) {
            properties = propertiesOf(words[place]);
            producers.add(producer(Map.of("acks", "all", "linger.ms", "0")));
        }
        long deadline = System.nanoTime() + PATIENCE_OF_MEMBERS.toNanos();
        while (producers.stream().anyMatch(one -> total(one, "successful-reauthentication-total") < count)) {
            if (System.nanoTime() > deadline) {
                throw new TimeoutException("not all have logged in again " + count + " times");
            }
            List<Future<?>> sent = new ArrayList<>();
            producers.forEach(one -> sent.add(one.send(new ProducerRecord<>(words[1], "value"))));
            for (Future<?> one : sent) {
                one.get();
            }
            Thread.sleep(50);
        }
        long failed = producers.stream().mapToLong(one -> total(one, "failed-reauthentication-total")).sum();
        producers.forEach(KafkaProducer::close);
        return "failed=" + failed;
    }

    private static long total(KafkaProducer<String, String> producer, String name) {
        long sum = 0;
        for (Map.Entry<MetricName, ? extends Metric> metric : producer.metrics().entrySet()) {
            if (metric.getKey().name().equals(name) && metric.getKey().group().equals("producer-metrics")) {
                sum += ((Double) metric.getValue().metricValue()).longValue();
            }
        }
        return sum;
    }

    private String consume(String topic, String group, int count, Map<String, String> more) {
        List<String> values = new ArrayList<>();
        try (var consumer = consumer(group, more)) {
            consumer.subscribe(List.of(topic.split(",")));
            long deadline = System.nanoTime() + PATIENCE.toNanos();
            while (values.size() < count && System.nanoTime() < deadline) {
                consumer.poll(Duration.ofMillis(200)).forEach(record -> values.add(record.value()));
            }
            consumer.commitSync();
        }
        return String.join(" ", values);
    }

    private KafkaProducer<String, String> transactional(String id) {
        return producer(Map.of("transactional.id", id));
    }

    private String transact(String[] words) throws Exception {
        var producer = transactional(words[1]);
        try {
            producer.initTransactions();
            producer.beginTransaction();
            List<Future<?>> sent = new ArrayList<>();
            for (int place = 3; place < words.length; place += 2) {
                sent.add(producer.send(new ProducerRecord<>(words[place], words[place + 1])));
            }
            for (Future<?> one : sent) {
                one.get();
            }
            if (words[2].equals("commit")) {
                producer.commitTransaction();
            } else if (words[2].equals("abort")) {
                producer.abortTransaction();
            }
        } finally {
            producer.close(words[2].equals("leave") ? Duration.ZERO : PATIENCE);
        }
        return "";
    }

    private String move(String id, String from, String group, int count, String to) throws Exception {
        try (var producer = transactional(id); var consumer = consumer(group, COMMITTED)) {
            consumer.subscribe(List.of(from));
            producer.initTransactions();
            int moved = 0;
            long deadline = System.nanoTime() + PATIENCE.toNanos();
            while (moved < count && System.nanoTime() < deadline) {
                var records = consumer.poll(Duration.ofMillis(200));
                if (records.isEmpty()) {
                    continue;
                }
                producer.beginTransaction();
                records.forEach(record -> producer.send(new ProducerRecord<>(to, record.value())));
                producer.sendOffsetsToTransaction(records.nextOffsets(), consumer.groupMetadata());
                producer.commitTransaction();
                moved += records.count();
            }
            return Integer.toString(moved);
        }
    }

    private String commitOffset(String id, String group, String topic, long offset) {
        try (var producer = transactional(id)) {
            producer.initTransactions();
            producer.beginTransaction();
            producer.sendOffsetsToTransaction(
                    Map.of(new TopicPartition(topic, 0), new OffsetAndMetadata(offset)),
                    new ConsumerGroupMetadata(group));
            producer.commitTransaction();
        }
        return "";
    }

    private String fence(String id, String topic) throws Exception {
        try (var first = transactional(id); var second = transactional(id)) {
            first.initTransactions();
            first.beginTransaction();
            first.send(new ProducerRecord<>(topic, "fenced")).get();
            second.initTransactions();
            first.commitTransaction();
        }
        return "not fenced";
    }

    private static List<TopicPartition> partitions(String[] words, int from) {
        List<TopicPartition> all = new ArrayList<>();
        for (int place = from; place < words.length; place++) {
            String[] topic = words[place].split(":");
            for (int partition = 0; partition < Integer.parseInt(topic[1]); partition++) {
                all.add(new TopicPartition(topic[0], partition));
            }
        }
        return all;
    }

    private String spread(String[] words) throws Exception {
        try (var producer = producer(Map.of("acks", "all"))) {
            List<Future<?>> sent = new ArrayList<>();
            for (TopicPartition one : partitions(words, 2)) {
                sent.add(producer.send(new ProducerRecord<>(one.topic(), one.partition(), null, words[1])));
            }
            for (Future<?> one : sent) {
                one.get();
            }
        }
        return "";
    }

    private String assign(String[] words) {
        Properties all = new Properties();
        all.putAll(properties);
        all.put("enable.auto.commit", "false");
        if (!words[1].equals("-")) {
            all.put("client.rack", words[1]);
        }
        if (reader != null) {
            reader.close();
        }
        reader = new KafkaConsumer<>(all, new StringDeserializer(), new StringDeserializer());
        reader.assign(partitions(words, 2));
        reader.seekToBeginning(reader.assignment());
        return "";
    }

    private List<String> poll(int count) {
        List<String> values = new ArrayList<>();
        long deadline = System.nanoTime() + PATIENCE.toNanos();
        while (values.size() < count) {
            if (System.nanoTime() > deadline) {
                throw new TimeoutException(values.size() + " of " + count + " came");
            }
            reader.poll(Duration.ofMillis(200)).forEach(record -> values.add(record.value()));
        }
        return values;
    }

    private String readFrom() {
        for (Map.Entry<MetricName, ? extends Metric> metric : reader.metrics().entrySet()) {
            if (metric.getKey().name().equals("preferred-read-replica")) {
                return metric.getValue().metricValue().toString();
            }
        }
        return "nowhere";
    }

    private String join(String topic, String group) {
        member = consumer(group, Map.of());
        member.subscribe(List.of(topic));
        long deadline = System.nanoTime() + PATIENCE.toNanos();
        while (member.assignment().isEmpty() && System.nanoTime() < deadline) {
            member.poll(Duration.ofMillis(200));
        }
        // Ends the consumer's own question for what is committed, whose answer it would give for one to come.
        TopicPartition partition = new TopicPartition(topic, 0);
        member.position(partition);
        member.commitSync(Map.of(partition, new OffsetAndMetadata(0)));
        return "";
    }

    private KafkaConsumer<String, String> memberOf(String[] words, Map<String, String> more) {
        return members.computeIfAbsent(words[1], name -> consumer(words[2], more));
    }

    private String assigned(int count) {
        long deadline = System.nanoTime() + PATIENCE_OF_MEMBERS.toNanos();
        Map<String, Set<TopicPartition>> found;
        do {
            found = new TreeMap<>();
            for (Map.Entry<String, KafkaConsumer<String, String>> each : members.entrySet()) {
                if (!each.getValue().subscription().isEmpty() || count > 0) {
                    each.getValue().poll(Duration.ofMillis(200));
                }
                found.put(each.getKey(), each.getValue().assignment());
            }
        } while (!isShared(found, count) && System.nanoTime() < deadline);
        List<String> told = new ArrayList<>();
        found.forEach((name, partitions) -> told.add(name + "=" + partitions.size()));
        found.values().stream().flatMap(Set::stream).map(TopicPartition::toString).sorted().forEach(told::add);
        return String.join(" ", told);
    }

    private static boolean isShared(Map<String, Set<TopicPartition>> found, int count) {
        int each = count / found.size();
        return found.values().stream().mapToInt(Set::size).sum() == count
                && found.values().stream().allMatch(partitions -> partitions.size() >= each);
    }

    private KafkaProducer<String, String> producer(Map<String, String> more) {
        Properties all = new Properties();
        all.putAll(properties);
        // Longer than a request takes that waits for leaders to be found.
        all.put("delivery.timeout.ms", "30000");
        all.put("max.block.ms", "30000");
        all.putAll(more);
        return new KafkaProducer<>(all, new StringSerializer(), new StringSerializer());
    }

    private KafkaConsumer<String, String> consumer(String group, Map<String, String> more) {
        Properties all = new Properties();
        all.putAll(properties);
        all.put("group.id", group);
        all.put("auto.offset.reset", "earliest");
        all.put("enable.auto.commit", "false");
        all.putAll(more);
        return new KafkaConsumer<>(all, new StringDeserializer(), new StringDeserializer());
    }
}
