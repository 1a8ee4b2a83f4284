package p2phost

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	libpeer "github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/proto"
)

func bulk(n int) *pubsub.RPC {
	return &pubsub.RPC{RPC: pb.RPC{Publish: []*pb.Message{{Topic: proto.String("t"), Data: make([]byte, n)}}}}
}

// Threat G-11: pubsub drops whole messages without a word: those with
// too many subscriptions, and all of a peer that it has graylisted. What they
// had let in must not take the memory for everybody's validation for good.
func TestMessagesThatPubsubDropsTakeNoRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const total, most = 64 << 20, 10 << 20
		scores := map[libpeer.ID]float64{}
		var q *quota
		f := newSubFilter(func(libpeer.ID, string) {}, func(id libpeer.ID) { q.undo(id) })
		f.allow("t")
		q = newQuota(total, most, f.CanSubscribe, func(libpeer.ID, string, int) {})
		q.score = func(id libpeer.ID) float64 { return scores[id] }
		// In pubsub's order: the inspector, then the filter.
		for i := range 100 {
			id := libpeer.ID(fmt.Sprint("flood ", i))
			rpc := bulk(most)
			for range MaxTopics + 1 {
				rpc.Subscriptions = append(rpc.Subscriptions, &pb.RPC_SubOpts{Topicid: proto.String("t"), Subscribe: proto.Bool(true)})
			}
			q.inspect(id, rpc)
			if _, err := f.FilterIncomingSubscriptions(id, rpc.Subscriptions); err == nil {
				t.Fatal("the filter let it pass")
			}
		}
		for i := range 100 {
			id := libpeer.ID(fmt.Sprint("graylisted ", i))
			scores[id] = graylistThreshold - 1
			if rpc := bulk(most); q.inspect(id, rpc) != nil || len(rpc.Publish) > 0 {
				t.Fatal("a graylisted peer's message was let in")
			}
		}
		honest := bulk(most)
		if q.inspect("honest", honest); len(honest.Publish) != 1 {
			t.Fatalf("no room is left: %d of %d bytes are taken", q.used, total)
		}
		// Whatever is lost otherwise comes back by itself.
		for i := range 20 {
			q.inspect(libpeer.ID(fmt.Sprint("lost ", i)), bulk(most))
		}
		time.Sleep(quotaLife + 2*time.Second)
		if honest = bulk(most); q.inspect("another", honest) != nil || len(honest.Publish) != 1 {
			t.Errorf("no room after %v: %d bytes are taken", quotaLife, q.used)
		}
		if q.used != most {
			t.Errorf("%d bytes are taken, want those of one message", q.used)
		}
	})
}
