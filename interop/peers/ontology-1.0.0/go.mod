module github.com/starlingp2p/starling/interop/peers/ontology-1.0.0

go 1.26.0

require (
	github.com/Workiva/go-datastructures v1.0.50 // indirect
	github.com/emirpasic/gods v1.12.0 // indirect
	github.com/hashicorp/golang-lru v0.5.4 // indirect
	github.com/itchyny/base58-go v0.1.0 // indirect
	github.com/ontio/ontology v1.0.0
	github.com/ontio/ontology-crypto v1.2.1
	github.com/ontio/ontology-eventbus v0.9.1
	github.com/orcaman/concurrent-map v0.0.0-20210501183033-44dafcb38ecc // indirect
	github.com/syndtr/goleveldb v1.0.1-0.20200815110645-5c35d600f0ca // indirect
	github.com/urfave/cli v1.22.1 // indirect
	github.com/valyala/bytebufferpool v1.0.0 // indirect
)

require github.com/starlingp2p/starling/interop/peers/steer v0.0.0

require (
	github.com/btcsuite/btcd v0.22.0-beta // indirect
	github.com/cpuguy83/go-md2man/v2 v2.0.0-20190314233015-f79a8a8ca69d // indirect
	github.com/ethereum/go-ethereum v1.9.25 // indirect
	github.com/gogo/protobuf v1.1.1 // indirect
	github.com/golang/snappy v0.0.3-0.20201103224600-674baa8c7fc3 // indirect
	github.com/magiconair/properties v1.18.12 // indirect
	github.com/russross/blackfriday/v2 v2.0.1 // indirect
	github.com/shurcooL/sanitized_anchor_name v1.0.0 // indirect
	golang.org/x/crypto v0.0.0-20200622213623-75b288015ac9 // indirect
	golang.org/x/sys v0.0.0-20210809222454-d867a43fc93e // indirect
)

replace github.com/starlingp2p/starling/interop/peers/steer => ../steer
