package chaintest

func poolRules() []Rule { return nil }
