module github.com/starlingp2p/starling/interop/peers/steer

go 1.26.0
