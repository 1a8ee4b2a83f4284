package blocksync

import (
	"fmt"
	"sort"
	"strings"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/wire"
)

// show and showEffect make a trace that a person can read.
func show(in Input) string {
	switch in := in.(type) {
	case Ready:
		return fmt.Sprintf("ready head %d staged %d", in.Status.Head.Number, len(in.Staged))
	case Joined:
		return fmt.Sprintf("joined %s claims %d", in.Peer, in.Claims.Head.Number)
	case Left:
		return fmt.Sprintf("left %s", in.Peer)
	case Claims:
		return fmt.Sprintf("claims %s %d", in.Peer, in.Status.Head.Number)
	case Announced:
		return fmt.Sprintf("announced %s %d", in.Peer, in.Ref.Number)
	case Offered:
		return fmt.Sprintf("offered %d by %s", in.Block.Header.Ref.Number, in.From)
	case Targeted:
		return fmt.Sprintf("target %d", in.Ref.Number)
	case Answered:
		if in.Err != nil {
			return fmt.Sprintf("answer #%d: %v", in.ID, in.Err)
		}
		return fmt.Sprintf("answer #%d: %s", in.ID, showResponse(in.Response))
	case Looked:
		found := 0
		for _, h := range in.Found {
			if h != nil {
				found++
			}
		}
		return fmt.Sprintf("looked #%d: %d found", in.ID, found)
	case VerifiedHeaders:
		return fmt.Sprintf("headers #%d: %d good, linked %v%s", in.ID, in.N, in.Linked, showErr(in.Err))
	case VerifiedBodies:
		bad := 0
		for _, err := range in.Errs {
			if err != nil {
				bad++
			}
		}
		return fmt.Sprintf("bodies #%d: %d good, %d bad", in.ID, len(in.Errs)-bad, bad)
	case Imported:
		return fmt.Sprintf("imported #%d: %d, head %d%s", in.ID, in.N, in.Status.Head.Number, showErr(in.Err))
	case StagedBlocks:
		return fmt.Sprintf("staged #%d%s", in.ID, showErr(in.Err))
	}
	return fmt.Sprintf("%T", in)
}

func showErr(err error) string {
	if err == nil {
		return ""
	}
	s := err.Error()
	for strings.Contains(s, "0x") { // hashes say nothing here
		i := strings.Index(s, "0x")
		s = s[:i] + "…" + s[min(len(s), i+66):]
	}
	return ", " + s
}

func showResponse(r wire.Response) string {
	switch r := r.(type) {
	case wire.Headers:
		return "headers " + span1(len(r.Headers), func(i int) chain.Ref { return r.Headers[i].Ref })
	case wire.Blocks:
		return "blocks " + span1(len(r.Blocks), func(i int) chain.Ref { return r.Blocks[i].Header.Ref })
	case wire.Bodies:
		return fmt.Sprintf("%d bodies", len(r.Bodies))
	}
	return fmt.Sprintf("%T", r)
}

func span1(n int, at func(int) chain.Ref) string {
	switch n {
	case 0:
		return "none"
	case 1:
		return fmt.Sprint(at(0).Number)
	}
	return fmt.Sprintf("%d…%d", at(0).Number, at(n-1).Number)
}

func showRange(r chain.Range) string {
	how := "by number"
	if !r.From.Hash.IsZero() {
		how = "by hash"
	}
	if r.Reverse {
		how += ", down"
	}
	return fmt.Sprintf("%d from %d %s", r.Count, r.From.Number, how)
}

func showEffect(e Effect) string {
	switch e := e.(type) {
	case Ask:
		what := wire.KindOf(e.Request)
		switch rq := e.Request.(type) {
		case wire.GetHeaders:
			what += " " + showRange(rq.Range)
		case wire.GetBlocks:
			what += " " + showRange(rq.Range)
		case wire.GetBodies:
			what += fmt.Sprintf(" of %d", len(rq.Hashes))
		case wire.GetBlocksByHash:
			what += fmt.Sprintf(" of %d", len(rq.Hashes))
		}
		return fmt.Sprintf("ask #%d %s: %s", e.ID, e.Peer, what)
	case Cancel:
		return fmt.Sprintf("cancel #%d", e.ID)
	case Lookup:
		return fmt.Sprintf("look up #%d: %d", e.ID, e.Refs[0].Number)
	case VerifyHeaders:
		return fmt.Sprintf("verify headers #%d: %s", e.ID, span1(len(e.Headers), func(i int) chain.Ref { return e.Headers[i].Ref }))
	case VerifyBodies:
		return fmt.Sprintf("verify bodies #%d: %s", e.ID, span1(len(e.Blocks), func(i int) chain.Ref { return e.Blocks[i].Header.Ref }))
	case Import:
		return fmt.Sprintf("import #%d: %s", e.ID, span1(len(e.Items), func(i int) chain.Ref { return e.Items[i].Ref }))
	case Stage:
		return fmt.Sprintf("stage #%d: %s", e.ID, span1(len(e.Blocks), func(i int) chain.Ref { return e.Blocks[i].Header.Ref }))
	case Charge:
		return fmt.Sprintf("charge %s: %s (%s)", e.Peer, e.Offense, e.Detail)
	case Tell:
		switch ev := e.Event.(type) {
		case GapFound:
			return fmt.Sprintf("tell: gap up to %d above %d", ev.Target.Number, ev.Head.Number)
		case GapClosed:
			return fmt.Sprintf("tell: gap closed up to %d", ev.Target.Number)
		case Syncing:
			far := ""
			if ev.Far {
				far = ", far"
			}
			return fmt.Sprintf("tell: syncing from %d to %d with %s%s", ev.Head.Number, ev.Goal, ev.Master, far)
		case Synced:
			return fmt.Sprintf("tell: synced at %d", ev.Head.Number)
		case Stuck:
			return fmt.Sprintf("tell: stuck %q", ev.Reason)
		case Reorg:
			return fmt.Sprintf("tell: reorganised %d deep, from %d to %d", ev.Depth, ev.Old.Number, ev.New.Number)
		case ReorgRefused:
			return fmt.Sprintf("tell: reorganisation refused at %d", ev.Fork.Number)
		case TargetRefused:
			return fmt.Sprintf("tell: target %d refused: %s", ev.Target.Number, ev.Reason)
		}
	}
	return fmt.Sprintf("%T", e)
}

func showCharges[K ~string](paid map[K]int) string {
	var out []string
	for k, n := range paid {
		out = append(out, fmt.Sprintf("%s×%d", k, n))
	}
	sort.Strings(out)
	return strings.Join(out, " ")
}
