import java.io.BufferedReader;
import java.io.File;
import java.io.FileReader;
import java.io.InputStreamReader;
import java.time.Duration;
import java.util.List;
import java.util.Properties;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.StreamsGroupDescription;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.state.Stores;

/**
 * An application of Kafka Streams that counts words in a group of the streams protocol, told what to do by lines on
 * standard input; one line of outcome for each.
 *
 * <p>java Streams PROPERTIES-FILE.
 */
public class Streams {
    private final Properties properties;
    private final String folder;
    private KafkaStreams application;

    private Streams(Properties properties, String folder) {
        this.properties = properties;
        this.folder = folder;
    }

    public static void main(String[] arguments) throws Exception {
        Properties properties = new Properties();
        try (FileReader file = new FileReader(arguments[0])) {
            properties.load(file);
        }
        Streams streams = new Streams(properties, new File(arguments[0]).getParent());
        try (var lines = new BufferedReader(new InputStreamReader(System.in))) {
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                System.out.println(line + " -> " + ("ok " + streams.perform(line.trim().split(" +"))).trim());
                System.out.flush();
            }
        }
        if (streams.application != null) {
            streams.application.close(Duration.ofSeconds(10));
        }
    }

    private String perform(String[] words) throws Exception {
        switch (words[0]) {
            case "count": // APPLICATION FROM TO SERVER: counts words from now on; in which state it is then
                return count(words[1], words[2], words[3], words[4]);
            case "servers": // where all instances of the application are to be found, as they say it
                Set<String> servers = new TreeSet<>();
                application.metadataForAllStreamsClients().forEach(
                    found -> servers.add(found.host() + ":" + found.port() + " " + found.stateStoreNames()));
                return String.join(" ", servers);
            case "describe": // GROUP: its state, how many are in it, and the topics of its topology
                return describe(words[1]);
            case "close":
                return Boolean.toString(application.close(Duration.ofSeconds(20)));
            default:
                throw new IllegalArgumentException("no such command: " + words[0]);
        }
    }

    private String count(String id, String from, String to, String server) throws Exception {
        StreamsBuilder builder = new StreamsBuilder();
        var strings = Serdes.String();
        builder.<String, String>stream(from)
            .flatMapValues(line -> List.of(line.split("_")))
            .groupBy((key, word) -> word, Grouped.<String, String>as("by-word").withKeySerde(strings).withValueSerde(strings))
            .count(Materialized.<String, Long>as(Stores.inMemoryKeyValueStore("counts"))
                .withKeySerde(strings).withValueSerde(Serdes.Long()).withCachingDisabled())
            .toStream()
            .mapValues((word, count) -> word + "=" + count)
            .to(to, Produced.with(strings, strings));
        Properties settings = new Properties();
        settings.putAll(properties);
        settings.put("application.id", id);
        settings.put("application.server", server);
        settings.put("group.protocol", "streams");
        settings.put("default.key.serde", Serdes.StringSerde.class.getName());
        settings.put("default.value.serde", Serdes.StringSerde.class.getName());
        settings.put("commit.interval.ms", "100");
        settings.put("state.dir", folder + "/state");
        application = new KafkaStreams(builder.build(), settings);
        CountDownLatch running = new CountDownLatch(1);
        application.setStateListener((now, before) -> {
            if (now == KafkaStreams.State.RUNNING) {
                running.countDown();
            }
        });
        application.start();
        running.await(60, TimeUnit.SECONDS);
        return application.state().toString();
    }

    private String describe(String group) throws Exception {
        try (Admin admin = Admin.create(properties)) {
            StreamsGroupDescription found = admin.describeStreamsGroups(Set.of(group)).all().get().get(group);
            Set<String> topics = new TreeSet<>();
            found.subtopologies().forEach(part -> {
                topics.addAll(part.sourceTopics());
                topics.addAll(part.repartitionSinkTopics());
                topics.addAll(part.stateChangelogTopics().keySet());
                topics.addAll(part.repartitionSourceTopics().keySet());
            });
            return found.groupState() + " " + found.members().size() + " " + String.join(" ", topics);
        }
    }
}
