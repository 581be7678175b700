import java.io.FileReader;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;

import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Lines for the page's word count, and a look at what it makes of them.
 *
 * `write N` writes so many lines, a hundred a second; `read N` reads the counts from their beginning until each word of
 * N lines has got its last one. Every count is written once, so a word's are 1, 2, 3 and so on to the last: one that is
 * missing was lost, one that comes twice was counted by an instance that was dead already.
 */
public class Exercise {
    static final int WORDS = 13;

    static String line(int number) {
        return "word-" + number % WORDS + " word-" + number * 7 % WORDS;
    }

    public static void main(String[] args) throws Exception {
        String topic = System.getenv("TOPIC");
        Properties settings = new Properties();
        settings.load(new FileReader("gateway.properties"));
        int count = Integer.parseInt(args[1]);
        if (args[0].equals("write")) write(topic, settings, count);
        else read(topic + "-counts", settings, count);
    }

    static void write(String topic, Properties settings, int count) throws Exception {
        try (var producer = new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer())) {
            for (int number = 0; number < count; number++) {
                producer.send(new ProducerRecord<>(topic, "key-" + number, line(number)));
                if (number % 10 == 9) Thread.sleep(100);
            }
            producer.flush();
        }
    }

    static void read(String topic, Properties settings, int count) {
        Map<String, Long> expected = new TreeMap<>();
        for (int number = 0; number < count; number++) {
            for (String word : line(number).split(" ")) expected.merge(word, 1L, Long::sum);
        }
        settings.put("isolation.level", "read_committed");
        Map<String, Long> last = new TreeMap<>();
        try (var consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer())) {
            List<TopicPartition> partitions = consumer.partitionsFor(topic).stream()
                .map(info -> new TopicPartition(info.topic(), info.partition())).toList();
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            // One more look after the last one, for what should not be there.
            for (boolean complete = false; ; complete = reached(expected, last)) {
                for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofSeconds(complete ? 2 : 1))) {
                    if (!record.key().startsWith("word-")) continue;
                    long before = last.getOrDefault(record.key(), 0L);
                    long now = Long.parseLong(record.value());
                    if (now != before + 1) throw new AssertionError(record.key() + " has " + now + " after " + before);
                    last.put(record.key(), now);
                }
                if (complete) break;
            }
        }
        long sum = last.values().stream().mapToLong(Long::longValue).sum();
        System.out.println("counted " + sum + " words, " + last.size() + " different");
    }

    static boolean reached(Map<String, Long> expected, Map<String, Long> last) {
        return expected.entrySet().stream().allMatch(word -> last.getOrDefault(word.getKey(), 0L) >= word.getValue());
    }
}
