import java.io.BufferedReader;
import java.io.FileReader;
import java.io.InputStreamReader;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.stream.Collectors;

import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.CreateTopicsOptions;
import org.apache.kafka.clients.admin.DescribeTopicsOptions;
import org.apache.kafka.clients.admin.GroupListing;
import org.apache.kafka.clients.admin.ListConfigResourcesOptions;
import org.apache.kafka.clients.admin.ListGroupsOptions;
import org.apache.kafka.clients.admin.ListTransactionsOptions;
import org.apache.kafka.clients.admin.NewPartitionReassignment;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.ScramCredentialInfo;
import org.apache.kafka.clients.admin.ScramMechanism;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.admin.TransactionDescription;
import org.apache.kafka.clients.admin.TransactionListing;
import org.apache.kafka.clients.admin.TransactionState;
import org.apache.kafka.clients.admin.UserScramCredentialUpsertion;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.ElectionType;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.acl.AccessControlEntry;
import org.apache.kafka.common.acl.AccessControlEntryFilter;
import org.apache.kafka.common.acl.AclBinding;
import org.apache.kafka.common.acl.AclBindingFilter;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.acl.AclPermissionType;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.quota.ClientQuotaAlteration;
import org.apache.kafka.common.quota.ClientQuotaEntity;
import org.apache.kafka.common.quota.ClientQuotaFilter;
import org.apache.kafka.common.quota.ClientQuotaFilterComponent;
import org.apache.kafka.common.resource.PatternType;
import org.apache.kafka.common.resource.ResourcePattern;
import org.apache.kafka.common.resource.ResourcePatternFilter;
import org.apache.kafka.common.resource.ResourceType;

/**
 * Kafka's Java admin client, told what to do by lines on standard input; one line of outcome for each.
 *
 * <p>java Admin PROPERTIES-FILE. What goes wrong is told by the name Kafka has for it, for example
 * TOPIC_AUTHORIZATION_FAILED; what Kafka's message says besides goes to standard error.
 */
public class Admin {
    private final org.apache.kafka.clients.admin.Admin client;

    private Admin(org.apache.kafka.clients.admin.Admin client) {
        this.client = client;
    }

    public static void main(String[] arguments) throws Exception {
        Properties properties = new Properties();
        try (FileReader file = new FileReader(arguments[0])) {
            properties.load(file);
        }
        try (var client = org.apache.kafka.clients.admin.Admin.create(properties);
                var lines = new BufferedReader(new InputStreamReader(System.in))) {
            Admin admin = new Admin(client);
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                System.out.println(line + " -> " + admin.outcome(line.trim().split(" +")));
                System.out.flush();
            }
        }
    }

    private String outcome(String[] words) throws Exception {
        try {
            return ("ok " + perform(words)).trim();
        } catch (ExecutionException exception) {
            Throwable cause = exception.getCause();
            System.err.println(String.join(" ", words) + ": " + cause);
            return Errors.forException(cause).name();
        }
    }

    private String perform(String[] words) throws Exception {
        String name = words.length > 1 ? words[1] : "";
        switch (words[0]) {
            case "create": // TOPIC PARTITIONS REPLICAS
                client.createTopics(List.of(newTopic(words))).all().get();
                awaitTopic(name, Integer.parseInt(words[2]));
                return "";
            case "try-create": // TOPIC PARTITIONS REPLICAS, validated only
                client.createTopics(List.of(newTopic(words)), new CreateTopicsOptions().validateOnly(true)).all().get();
                return "";
            case "delete":
                client.deleteTopics(List.of(name)).all().get();
                awaitTopic(name, 0);
                return "";
            case "partitions": // TOPIC COUNT
                int count = Integer.parseInt(words[2]);
                client.createPartitions(Map.of(name, NewPartitions.increaseTo(count))).all().get();
                awaitTopic(name, count);
                return "";
            case "topic":
                TopicDescription topic = describe(name, false);
                return "partitions=" + topic.partitions().size()
                        + " replicas=" + topic.partitions().get(0).replicas().size();
            case "operations": // what the broker says that this client may do with a topic
                return describe(name, true).authorizedOperations().stream()
                        .map(AclOperation::name).sorted().collect(Collectors.joining(" "));
            case "topics": // [PREFIX]
                return starting(name, client.listTopics().names().get());
            case "configs": // TOPIC KEY
                ConfigResource asked = new ConfigResource(ConfigResource.Type.TOPIC, name);
                return client.describeConfigs(List.of(asked)).all().get().get(asked).get(words[2]).value();
            case "set-config": // TOPIC KEY VALUE
                client.incrementalAlterConfigs(Map.of(
                        new ConfigResource(ConfigResource.Type.TOPIC, name),
                        List.of(new AlterConfigOp(new ConfigEntry(words[2], words[3]), AlterConfigOp.OpType.SET))))
                        .all().get();
                awaitConfig(name, words[2], words[3]);
                return "";
            case "offsets": // TOPIC PARTITION: earliest and latest
                TopicPartition partition = new TopicPartition(name, Integer.parseInt(words[2]));
                long first = client.listOffsets(Map.of(partition, OffsetSpec.earliest())).all().get().get(partition).offset();
                long end = client.listOffsets(Map.of(partition, OffsetSpec.latest())).all().get().get(partition).offset();
                return first + " " + end;
            case "empty": // TOPIC OFFSET, in partition 0: where it begins now
                TopicPartition emptied = new TopicPartition(name, 0);
                return "" + client.deleteRecords(
                                Map.of(emptied, RecordsToDelete.beforeOffset(Long.parseLong(words[2]))))
                        .lowWatermarks().get(emptied).get().lowWatermark();
            case "producers": // TOPIC: how many write to partition 0
                TopicPartition written = new TopicPartition(name, 0);
                return "" + client.describeProducers(List.of(written)).all().get().get(written).activeProducers().size();
            case "described": // TOPIC...: what is said of each, all asked at once
                List<String> wanted = Arrays.asList(words).subList(1, words.length);
                var descriptions = client.describeTopics(wanted).topicNameValues();
                List<String> told = new ArrayList<>();
                for (String one : wanted) {
                    told.add(each(() -> "" + descriptions.get(one).get().partitions().size()));
                }
                return String.join(" ", told);
            case "disks": // PREFIX: the partitions on all disks, and how many disks show their sizes
                return disks(name);
            case "groups": // [PREFIX]
                return starting(name, client.listGroups(ListGroupsOptions.forConsumerGroups()).all().get().stream()
                        .map(GroupListing::groupId).collect(Collectors.toList()));
            case "group":
                ConsumerGroupDescription group = client.describeConsumerGroups(List.of(name)).all().get().get(name);
                return "state=" + group.groupState() + " members=" + group.members().size();
            case "committed": // GROUP
                var committed = client.listConsumerGroupOffsets(name).partitionsToOffsetAndMetadata().get();
                return new TreeMap<>(committed.entrySet().stream().collect(Collectors.toMap(
                        entry -> entry.getKey().toString(), entry -> entry.getValue().offset()))).toString();
            case "commit": // GROUP TOPIC OFFSET, for partition 0
                client.alterConsumerGroupOffsets(name, Map.of(
                        new TopicPartition(words[2], 0), new OffsetAndMetadata(Long.parseLong(words[3])))).all().get();
                return "";
            case "forget": // GROUP TOPIC...: what becomes of the offset of each in partition 0
                Set<TopicPartition> forgotten = Arrays.stream(words).skip(2)
                        .map(word -> new TopicPartition(word, 0)).collect(Collectors.toSet());
                var result = client.deleteConsumerGroupOffsets(name, forgotten);
                List<String> outcomes = new ArrayList<>();
                for (int place = 2; place < words.length; place++) {
                    TopicPartition one = new TopicPartition(words[place], 0);
                    outcomes.add(each(() -> {
                        result.partitionResult(one).get();
                        return "ok";
                    }));
                }
                return String.join(" ", outcomes);
            case "delete-group":
                client.deleteConsumerGroups(List.of(name)).all().get();
                return "";
            case "transactions": // PATTERN: of the whole id
                var listed = client.listTransactions(new ListTransactionsOptions().filterOnTransactionalIdPattern(name));
                return starting("", listed.all().get().stream()
                        .map(TransactionListing::transactionalId).collect(Collectors.toList()));
            case "transactions-in": // STATE [PREFIX]
                var inState = client.listTransactions(
                        new ListTransactionsOptions().filterStates(List.of(TransactionState.parse(name))));
                return starting(words.length > 2 ? words[2] : "", inState.all().get().stream()
                        .map(TransactionListing::transactionalId).collect(Collectors.toList()));
            case "transaction": // ID
                TransactionDescription described =
                        client.describeTransactions(List.of(name)).description(name).get();
                return ("state=" + described.state() + " " + described.topicPartitions().stream()
                        .map(TopicPartition::toString).sorted().collect(Collectors.joining(" "))).trim();
            case "cluster":
                return "brokers=" + client.describeCluster().nodes().get().size();
            case "allow": // CLIENT KIND NAME LITERAL|PREFIXED OPERATION,...
                List<AclBinding> allowed = Arrays.stream(words[5].split(",")).map(operation -> new AclBinding(
                        new ResourcePattern(
                                ResourceType.valueOf(words[2].toUpperCase()), words[3], PatternType.valueOf(words[4])),
                        new AccessControlEntry("User:" + words[1], "*",
                                AclOperation.valueOf(operation.toUpperCase()), AclPermissionType.ALLOW)))
                        .collect(Collectors.toList());
                client.createAcls(allowed).all().get();
                AclBindingFilter last = allowed.get(allowed.size() - 1).toFilter();
                await(() -> client.describeAcls(last).values().get().isEmpty(), false);
                return "";
            case "acls": // KIND NAME LITERAL|PREFIXED|MATCH|ANY; - for any name
                return client.describeAcls(filter(words)).values().get().stream()
                        .map(Admin::told).collect(Collectors.toCollection(TreeSet::new)).stream()
                        .collect(Collectors.joining(" "));
            case "delete-acls": // KIND NAME LITERAL|PREFIXED|MATCH|ANY; - for any name
                var deleted = client.deleteAcls(List.of(filter(words))).all().get();
                await(() -> client.describeAcls(filter(words)).values().get().isEmpty(), true);
                return deleted.stream()
                        .map(Admin::told).collect(Collectors.toCollection(TreeSet::new)).stream()
                        .collect(Collectors.joining(" "));
            case "elect": // [TOPIC PARTITION]; without them, of the whole cluster
                client.electLeaders(ElectionType.PREFERRED, words.length > 1
                        ? Set.of(new TopicPartition(name, Integer.parseInt(words[2]))) : null).all().get();
                return "";
            case "move": // TOPIC PARTITION BROKER
                client.alterPartitionReassignments(Map.of(new TopicPartition(name, Integer.parseInt(words[2])),
                        Optional.of(new NewPartitionReassignment(List.of(Integer.parseInt(words[3])))))).all().get();
                return "";
            case "moves":
                return client.listPartitionReassignments().reassignments().get().keySet().stream()
                        .map(TopicPartition::toString).sorted().collect(Collectors.joining(" "));
            case "quotas": // of users
                return String.join(" ", quotaUsers());
            case "set-quota": // USER BYTES
                client.alterClientQuotas(List.of(new ClientQuotaAlteration(
                        new ClientQuotaEntity(Map.of("user", name)),
                        List.of(new ClientQuotaAlteration.Op("producer_byte_rate", Double.parseDouble(words[2])))))).all().get();
                await(() -> quotaUsers().contains(name), true);
                return "";
            case "users": // [USER]
                return String.join(" ", users(words.length > 1 ? List.of(name) : List.of()));
            case "set-user": // USER PASSWORD [512]: by SCRAM-SHA-256, or by SCRAM-SHA-512
                ScramMechanism way =
                        words.length > 3 ? ScramMechanism.SCRAM_SHA_512 : ScramMechanism.SCRAM_SHA_256;
                client.alterUserScramCredentials(List.of(new UserScramCredentialUpsertion(name,
                        new ScramCredentialInfo(way, 4096), words[2]))).all().get();
                await(() -> hasCredential(name, way), true);
                return "";
            case "quorum": // how many controllers have an address
                return "endpoints=" + client.describeMetadataQuorum().quorumInfo().get().nodes().values().stream()
                        .mapToInt(node -> node.endpoints().size()).sum();
            case "config-resources": // of topics, [PREFIX]
                return starting(name, client.listConfigResources(
                                Set.of(ConfigResource.Type.TOPIC, ConfigResource.Type.BROKER),
                                new ListConfigResourcesOptions()).all().get().stream()
                        .map(ConfigResource::name).collect(Collectors.toList()));
            default:
                throw new IllegalArgumentException("no such command: " + words[0]);
        }
    }

    private interface Asked {
        String tell() throws Exception;
    }

    /** What became of one thing of several. */
    private static String each(Asked asked) throws Exception {
        try {
            return asked.tell();
        } catch (ExecutionException exception) {
            System.err.println(exception.getCause());
            return Errors.forException(exception.getCause()).name();
        }
    }

    private String disks(String prefix) throws Exception {
        List<Integer> brokers = client.describeCluster().nodes().get().stream().map(node -> node.id()).toList();
        TreeSet<String> partitions = new TreeSet<>();
        int disks = 0;
        for (var ofBroker : client.describeLogDirs(brokers).allDescriptions().get().values()) {
            disks += ofBroker.size();
            for (var disk : ofBroker.values()) {
                disk.replicaInfos().keySet().stream().map(TopicPartition::toString)
                        .filter(partition -> partition.startsWith(prefix)).forEach(partitions::add);
            }
        }
        return "disks=" + disks + " " + String.join(" ", partitions);
    }

    private static AclBindingFilter filter(String[] words) {
        return new AclBindingFilter(
                new ResourcePatternFilter(ResourceType.valueOf(words[1].toUpperCase()),
                        words[2].equals("-") ? null : words[2], PatternType.valueOf(words[3])),
                AccessControlEntryFilter.ANY);
    }

    private static String told(AclBinding acl) {
        ResourcePattern pattern = acl.pattern();
        return pattern.resourceType() + ":" + pattern.patternType() + ":" + pattern.name();
    }

    private TreeSet<String> quotaUsers() throws Exception {
        return client.describeClientQuotas(ClientQuotaFilter.contains(
                        List.of(ClientQuotaFilterComponent.ofEntityType("user")))).entities().get().keySet().stream()
                .map(entity -> entity.entries().get("user")).collect(Collectors.toCollection(TreeSet::new));
    }

    private TreeSet<String> users(List<String> names) throws Exception {
        return new TreeSet<>(client.describeUserScramCredentials(names).all().get().keySet());
    }

    private boolean hasCredential(String user, ScramMechanism way) throws Exception {
        var known = client.describeUserScramCredentials().all().get().get(user);
        return known != null && known.credentialInfos().stream().anyMatch(info -> info.mechanism() == way);
    }

    /** As with topics: waits until the answer was this one several times in a row. */
    private static void await(Callable<Boolean> question, boolean answer) throws Exception {
        int inARow = 0;
        for (int tries = 0; tries < 200 && inARow < 6; tries++) {
            inARow = question.call() == answer ? inARow + 1 : 0;
            if (inARow == 0) {
                Thread.sleep(50);
            }
        }
    }

    /** As with topics: waits until the value was seen several times in a row, whichever broker was asked. */
    private void awaitConfig(String name, String key, String value) throws Exception {
        ConfigResource topic = new ConfigResource(ConfigResource.Type.TOPIC, name);
        int inARow = 0;
        for (int tries = 0; tries < 200 && inARow < 6; tries++) {
            var seen = client.describeConfigs(List.of(topic)).all().get().get(topic).get(key);
            inARow = value.equals(seen.value()) ? inARow + 1 : 0;
            if (inARow == 0) {
                Thread.sleep(50);
            }
        }
    }

    private static NewTopic newTopic(String[] words) {
        return new NewTopic(
                words[1], Optional.of(Integer.parseInt(words[2])), Optional.of(Short.parseShort(words[3])));
    }

    private TopicDescription describe(String name, boolean operations) throws Exception {
        return client.describeTopics(
                        List.of(name), new DescribeTopicsOptions().includeAuthorizedOperations(operations))
                .allTopicNames().get().get(name);
    }

    private static String starting(String prefix, Collection<String> names) {
        List<String> found = new ArrayList<>();
        for (String name : new TreeSet<>(names)) {
            if (name.startsWith(prefix)) {
                found.add(name);
            }
        }
        return String.join(" ", found);
    }

    /**
     * Brokers learn of a change one after the other, and each question may go to another one: waits until the topic
     * was seen with so many partitions, each with a leader, several times in a row. 0 is a topic that is gone.
     */
    private void awaitTopic(String name, int partitions) throws Exception {
        int inARow = 0;
        for (int tries = 0; tries < 200 && inARow < 6; tries++) {
            int seen = 0;
            try {
                for (var partition : describe(name, false).partitions()) {
                    seen += partition.leader() == null ? 0 : 1;
                }
            } catch (ExecutionException notThere) {
                seen = 0;
            }
            inARow = seen == partitions ? inARow + 1 : 0;
            if (inARow == 0) {
                Thread.sleep(50);
            }
        }
    }
}
