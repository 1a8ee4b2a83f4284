package ontology

import "github.com/starlingp2p/starling/wire/ontology/codec"

const (
	vrfValue = "1c9810aa9822e511d5804a9c4db9dd08497c31087b0daafa34d768a3253441fa20515e2f30f81741102af0ca3cefc4818fef16adb825fbaa8cad78647f3afb590e"
	vrfProof = "c57741f934042cb8d8b087b44b161db56fc3ffd4ffb675d36cd09f83935be853d8729f3f5298d12d6fd28d45dde515a4b9d7f67682d182ba5118abf451ff1988"
)

// seven is what the two public networks have in common.
func seven(view, stake uint32, admin string, peers ...VBFTPeer) VBFTConfig {
	for i := range peers {
		peers[i].Index = uint32(i + 1)
	}
	return VBFTConfig{
		N: 7, C: 2, K: 7, L: 112, BlockMsgDelay: 10000, HashMsgDelay: 10000, PeerHandshakeTimeout: 10,
		MaxBlockChangeView: view, MinInitStake: stake, AdminOntID: admin, VrfValue: vrfValue, VrfProof: vrfProof, Peers: peers,
	}
}

// MainNet is Ontology's main net.
func MainNet() Network {
	return Network{
		Name: "ontology", Magic: codec.MagicMain, ConsensusType: VBFT,
		SeedList: []string{"seed1.ont.io:20338", "seed2.ont.io:20338", "seed3.ont.io:20338", "seed4.ont.io:20338", "seed5.ont.io:20338"},
		VBFT: seven(
			120000, 100000, "did:ont:AdjfcJgwru2FD8kotCPvLDXYzRjqFjc9Tb",
			VBFTPeer{PeerPubkey: "03348c8fe64e1defb408676b6e320038bd2e592c802e27c3d7e88e68270076c2f7", Address: "AZavFr7sQ4em2NmqWDjLMY34tHMQzATWgx"},
			VBFTPeer{PeerPubkey: "03afd920a3b4ce2e7175a32c0d092153d1a11ef5e0dcc14e71c85101b95518d5d7", Address: "AM9jHMV7xY4HWH2dWmzyxrtnbi6ErNt7oL"},
			VBFTPeer{PeerPubkey: "03e818b65a66d983a99497e06c6552ee5067229e85ba1cec60c5477dc3d568ed43", Address: "ATECwFPNRZFydFR1yUjb6RTLfVcKGKWRmp"},
			VBFTPeer{PeerPubkey: "02375e44e500f9cfe8bd2f4afa4a016a8a902567996c919b9d1ce4f5d4f930f145", Address: "AKMxTuHQtt5YspXNPwkQNP5ZY66c4LY5BR"},
			VBFTPeer{PeerPubkey: "03af040c09af5e06cf966f73fc99e8f4372f1510fe6e4376824452a99b85695a9c", Address: "AT4fXp36Ui22Lbh5ZJUCRBFDJ7axkLyUFM"},
			VBFTPeer{PeerPubkey: "034ee2a4368e999fc7c04e7e3a9073162d47712382f1690d6a67e7e1c475cd0ff3", Address: "ANLRokqieUtrUMave66FcNy2cxV7Whf4UN"},
			VBFTPeer{PeerPubkey: "0327f9e0fb3b894027c52caf3d31d9ac5f676d3cf892c933ac107ed7447fb6e65b", Address: "AVRD9QmkYNq8n8DXc9AqpZnUEYhjg1aq5L"},
		),
	}
}

// Polaris is Ontology's test net.
func Polaris() Network {
	return Network{
		Name: "polaris", Magic: codec.MagicPolaris, ConsensusType: VBFT,
		SeedList: []string{"polaris1.ont.io:20338", "polaris2.ont.io:20338", "polaris3.ont.io:20338", "polaris4.ont.io:20338"},
		VBFT: seven(
			3000, 10000, "did:ont:AMAx993nE6NEqZjwBssUfopxnnvTdob9ij",
			VBFTPeer{PeerPubkey: "037c9e6c6a446b6b296f89b722cbf686b81e0a122444ef05f0f87096777663284b", Address: "AXmQDzzvpEtPkNwBEFsREzApTTDZFW6frD", InitPos: 10000},
			VBFTPeer{PeerPubkey: "03dff4c63267ae5e23da44ace1bc47d0da1eb8d36fd71181dcccf0e872cb7b31fa", Address: "AY5W6p4jHeZG2jjW6nS1p4KDUhcqLkU6jz", InitPos: 20000},
			VBFTPeer{PeerPubkey: "0205bc592aa9121428c4144fcd669ece1fa73fee440616c75624967f83fb881050", Address: "ALZVrZrFqoSvqyi38n7mpPoeDp7DMtZ9b6", InitPos: 30000},
			VBFTPeer{PeerPubkey: "030a34dcb075d144df1f65757b85acaf053395bb47b019970607d2d1cdd222525c", Address: "AMogjmLf2QohTcGST7niV75ekZfj44SKme", InitPos: 40000},
			VBFTPeer{PeerPubkey: "021844159f97d81da71da52f84e8451ee573c83b296ff2446387b292e44fba5c98", Address: "AZzQTkZvjy7ih9gjvwU8KYiZZyNoy6jE9p", InitPos: 30000},
			VBFTPeer{PeerPubkey: "020cc76feb375d6ea8ec9ff653bab18b6bbc815610cecc76e702b43d356f885835", Address: "AKEqQKmxCsjWJz8LPGryXzb6nN5fkK1WDY", InitPos: 20000},
			VBFTPeer{PeerPubkey: "03aa4d52b200fd91ca12deff46505c4608a0f66d28d9ae68a342c8a8c1266de0f9", Address: "AQNpGWz4oHHFBejtBbakeR43DHfen7cm8L", InitPos: 10000},
		),
	}
}
