// What franz-go's users do with it, through the gateway. Ends with a line that says what was done.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const keys = 50

var (
	ctx     = context.Background()
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

func client(more ...kgo.Opt) *kgo.Client {
	client, err := kgo.NewClient(append(gateway(), more...)...)
	check(err)
	return client
}

func record(topic string, number int) *kgo.Record {
	return &kgo.Record{
		Topic: topic,
		Key:   []byte("key-" + strconv.Itoa(number%keys)),
		Value: []byte(strconv.Itoa(number)),
	}
}

func records(topic string, first, count int) (all []*kgo.Record) {
	for number := first; number < first+count; number++ {
		all = append(all, record(topic, number))
	}
	return all
}

// consume reads so many records of a topic as the group, commits them, and looks whether there are more.
func consume(topic string, first, count int, more ...kgo.Opt) {
	group := client(append(more, kgo.ConsumeTopics(topic), kgo.ConsumerGroup(readers), kgo.DisableAutoCommit())...)
	last, seen := map[string]int{}, map[int]bool{}
	poll := func(patience time.Duration) {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		fetches := group.PollFetches(ctx)
		if err := fetches.Err(); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			log.Fatal(err)
		}
		fetches.EachRecord(func(record *kgo.Record) {
			number, err := strconv.Atoi(string(record.Value))
			check(err)
			key := string(record.Key)
			if before, is := last[key]; is && before >= number {
				log.Fatalf("%s has %d after %d", key, number, before)
			}
			if number < first || number >= first+count {
				log.Fatalf("%s has %d, expected %d to %d", topic, number, first, first+count-1)
			}
			last[key], seen[number] = number, true
		})
	}
	for deadline := time.Now().Add(time.Minute); len(seen) < count; poll(time.Second) {
		if time.Now().After(deadline) {
			log.Fatalf("%d of %d records after a minute", len(seen), count)
		}
	}
	poll(500 * time.Millisecond)
	check(group.CommitUncommittedOffsets(ctx))
	group.Close()
}

// transact pays what a group reads, with its offsets in the same transaction. The first one is aborted, and done again.
func transact() {
	session, err := kgo.NewGroupTransactSession(append(gateway(),
		kgo.TransactionalID(prefix+"payments"),
		kgo.ConsumerGroup(prefix+"payers"),
		kgo.ConsumeTopics(orders),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.RequireStableFetchOffsets(),
	)...)
	check(err)
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	end := kgo.TryAbort
	for paidFor := 0; paidFor < 1010; {
		fetches := session.PollFetches(ctx)
		check(fetches.Err())
		check(session.Begin())
		promise := kgo.AbortingFirstErrPromise(session.Client())
		fetches.EachRecord(func(record *kgo.Record) {
			session.Produce(ctx, &kgo.Record{Topic: paid, Key: record.Key, Value: record.Value}, promise.Promise())
		})
		check(promise.Err())
		committed, err := session.End(ctx, end)
		check(err)
		if committed {
			paidFor += fetches.NumRecords()
		}
		end = kgo.TryCommit
	}
	session.Close()
	consume(paid, 0, 1010, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
}

func main() {
	producer := client(kgo.ProducerBatchCompression(kgo.ZstdCompression()))
	admin := kadm.NewClient(producer)
	for topic, partitions := range map[string]int32{orders: 3, lasting: 1, paid: 1} {
		_, err := admin.CreateTopic(ctx, partitions, 1, nil, topic)
		check(err)
	}

	check(producer.ProduceSync(ctx, records(orders, 0, 1000)...).FirstErr())
	consume(orders, 0, 1000)
	check(producer.ProduceSync(ctx, records(orders, 1000, 10)...).FirstErr())
	consume(orders, 1000, 10)

	err := producer.ProduceSync(ctx, record(os.Getenv("CLOSED"), 0)).FirstErr()
	if !errors.Is(err, kerr.TopicAuthorizationFailed) {
		log.Fatalf("a topic without rights was answered with %v", err)
	}
	topics, err := admin.ListTopics(ctx)
	check(err)
	groups, err := admin.ListGroups(ctx)
	check(err)
	if !topics.Has(orders) || len(groups.Groups()) == 0 {
		log.Fatalf("listed %v and %v", topics.Names(), groups.Groups())
	}
	for _, name := range append(topics.Names(), groups.Groups()...) {
		if !strings.HasPrefix(name, prefix) {
			log.Fatalf("listed %s", name)
		}
	}
	transact()

	// Longer than a token is good for.
	written := 0
	for end := time.Now().Add(15 * time.Second); time.Now().Before(end); written++ {
		check(producer.ProduceSync(ctx, record(lasting, written)).FirstErr())
		time.Sleep(100 * time.Millisecond)
	}
	consume(lasting, 0, written)
	producer.Close()
	fmt.Println("done: created, wrote 1000 (idempotent, zstd), read in order and none twice, was refused, paid exactly once, lasted")
}
