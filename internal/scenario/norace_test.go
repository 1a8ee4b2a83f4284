//go:build !race

package scenario

func raced() {}
