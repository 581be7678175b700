// What sarama's users do with it, through the gateway. Ends with a line that says what was done.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

const keys = 50

var (
	prefix  = os.Getenv("PREFIX")
	orders  = prefix + "orders"
	lasting = prefix + "lasting"
	paid    = prefix + "paid"
	readers = prefix + "readers"
)

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func message(topic string, number int) *sarama.ProducerMessage {
	return &sarama.ProducerMessage{
		Topic: topic,
		Key:   sarama.StringEncoder("key-" + strconv.Itoa(number%keys)),
		Value: sarama.StringEncoder(strconv.Itoa(number)),
	}
}

func messages(topic string, first, count int) (all []*sarama.ProducerMessage) {
	for number := first; number < first+count; number++ {
		all = append(all, message(topic, number))
	}
	return all
}

func producer(change func(*sarama.Config)) sarama.SyncProducer {
	addresses, config := gateway()
	config.Producer.Return.Successes = true
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.Idempotent = true
	config.Producer.Compression = sarama.CompressionSnappy
	config.Net.MaxOpenRequests = 1
	change(config)
	producer, err := sarama.NewSyncProducer(addresses, config)
	check(err)
	return producer
}

// reading is what a group has read of the numbers that it should.
type reading struct {
	first, count int
	done         context.CancelFunc
	lock         sync.Mutex
	last         map[string]int
	seen         map[int]bool
}

func (*reading) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (*reading) Cleanup(sarama.ConsumerGroupSession) error { return nil }
func (r *reading) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for message := range claim.Messages() {
		r.note(message)
		session.MarkMessage(message, "")
	}
	return nil
}

func (r *reading) note(message *sarama.ConsumerMessage) {
	r.lock.Lock()
	defer r.lock.Unlock()
	number, err := strconv.Atoi(string(message.Value))
	check(err)
	key := string(message.Key)
	if before, is := r.last[key]; is && before >= number {
		log.Fatalf("%s has %d after %d", key, number, before)
	}
	if number < r.first || number >= r.first+r.count {
		log.Fatalf("%s has %d, expected %d to %d", message.Topic, number, r.first, r.first+r.count-1)
	}
	r.last[key], r.seen[number] = number, true
	if len(r.seen) == r.count {
		// A moment longer, for more than there should be.
		time.AfterFunc(500*time.Millisecond, r.done)
	}
}

// consume reads so many records of a topic as the group, and commits them.
func consume(topic string, first, count int) {
	addresses, config := gateway()
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.IsolationLevel = sarama.ReadCommitted
	group, err := sarama.NewConsumerGroup(addresses, readers, config)
	check(err)
	ctx, done := context.WithTimeout(context.Background(), time.Minute)
	r := &reading{first: first, count: count, done: done, last: map[string]int{}, seen: map[int]bool{}}
	for ctx.Err() == nil {
		check(group.Consume(ctx, []string{topic}, r))
	}
	check(group.Close())
	if len(r.seen) != count {
		log.Fatalf("%d of %d records after a minute", len(r.seen), count)
	}
}

// transact commits one transaction and aborts another, for a reader that sees only the first.
func transact() {
	producer := producer(func(config *sarama.Config) { config.Producer.Transaction.ID = prefix + "payments" })
	check(producer.BeginTxn())
	check(producer.SendMessages(messages(paid, 0, 10)))
	check(producer.CommitTxn())
	check(producer.BeginTxn())
	check(producer.SendMessages(messages(paid, 10, 10)))
	check(producer.AbortTxn())
	check(producer.Close())
	consume(paid, 0, 10)
}

func own(names []string) bool {
	for _, name := range names {
		if !strings.HasPrefix(name, prefix) {
			return false
		}
	}
	return len(names) > 0
}

func main() {
	addresses, config := gateway()
	admin, err := sarama.NewClusterAdmin(addresses, config)
	check(err)
	for topic, partitions := range map[string]int32{orders: 3, lasting: 1, paid: 1} {
		check(admin.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: 1}, false))
	}

	writer := producer(func(*sarama.Config) {})
	check(writer.SendMessages(messages(orders, 0, 1000)))
	consume(orders, 0, 1000)
	check(writer.SendMessages(messages(orders, 1000, 10)))
	consume(orders, 1000, 10)

	_, _, err = writer.SendMessage(message(os.Getenv("CLOSED"), 0))
	if !errors.Is(err, sarama.ErrTopicAuthorizationFailed) {
		log.Fatalf("a topic without rights was answered with %v", err)
	}
	topics, err := admin.ListTopics()
	check(err)
	groups, err := admin.ListConsumerGroups()
	check(err)
	var topicNames, groupNames []string
	for name := range topics {
		topicNames = append(topicNames, name)
	}
	for name := range groups {
		groupNames = append(groupNames, name)
	}
	if !own(topicNames) || !own(groupNames) {
		log.Fatalf("listed %v and %v", topicNames, groupNames)
	}
	transact()

	// Longer than a token is good for.
	written := 0
	for end := time.Now().Add(15 * time.Second); time.Now().Before(end); written++ {
		_, _, err := writer.SendMessage(message(lasting, written))
		check(err)
		time.Sleep(100 * time.Millisecond)
	}
	consume(lasting, 0, written)
	check(writer.Close())
	check(admin.Close())
	fmt.Println("done: created, wrote 1000 (idempotent, snappy), read in order and none twice, was refused, committed and aborted, lasted")
}
