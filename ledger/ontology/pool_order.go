package ontology

// order is a heap of the transactions that go first where there is no room: the
// cheapest, of those the latest.
type order []*pooled

func (o order) Len() int { return len(o) }

func (o order) Less(i, j int) bool {
	if o[i].price != o[j].price {
		return o[i].price < o[j].price
	}
	return o[i].arrival > o[j].arrival
}

func (o order) Swap(i, j int) {
	o[i], o[j] = o[j], o[i]
	o[i].at, o[j].at = i, j
}

// Push is for package heap.
func (o *order) Push(x any) {
	e := x.(*pooled)
	e.at = len(*o)
	*o = append(*o, e)
}

// Pop is for package heap.
func (o *order) Pop() any {
	old := *o
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*o = old[:len(old)-1]
	return e
}
