//go:build !race

package bed

func raced() {}
