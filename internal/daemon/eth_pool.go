package daemon

import "time"

// The bounds of what the pool's keys may say.
const (
	mostPoolTxs       = 1 << 20
	mostPoolPerSender = 4096
	leastPoolLifetime = time.Minute
	mostPoolLifetime  = 30 * 24 * time.Hour
	mostPoolPriceBump = 1000
)

func (e *Ethereum) checkPool(p *problems) {
	if e.PoolTxs < 0 || e.PoolTxs > mostPoolTxs {
		p.bad("network.ethereum.pool_txs is %d, want 1 to %d", e.PoolTxs, mostPoolTxs)
	}
	if e.PoolPerSender < 0 || e.PoolPerSender > mostPoolPerSender {
		p.bad("network.ethereum.pool_per_sender is %d, want 1 to %d", e.PoolPerSender, mostPoolPerSender)
	}
	if e.PoolPriceBump < 0 || e.PoolPriceBump > mostPoolPriceBump {
		p.bad("network.ethereum.pool_price_bump is %d, want 1 to %d percent", e.PoolPriceBump, mostPoolPriceBump)
	}
	if d := time.Duration(e.PoolLifetime); d != 0 && (d < leastPoolLifetime || d > mostPoolLifetime) {
		p.bad("network.ethereum.pool_lifetime is %v, want %v to %v", d, leastPoolLifetime, mostPoolLifetime)
	}
}
