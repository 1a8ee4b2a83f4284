package main

import (
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	out := filepath.Join("..", "presets")
	if len(os.Args) > 1 {
		out = os.Args[1]
	}
	files, err := generate()
	if err == nil {
		err = write(out, files)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
	fmt.Printf("wrote %d files to %s\n", len(files), out)
}

// generate makes all files, by name.
func generate() (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, make := range []func(map[string][]byte) error{opstack, ethereum, classic, ontology} {
		if err := make(files); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// write puts the files into a folder and takes away presets that are no more.
func write(dir string, files map[string][]byte) error {
	old, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		return err
	}
	for _, path := range old {
		if _, still := files[filepath.Base(path)]; !still {
			if err := os.Remove(path); err != nil {
				return err
			}
		}
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}
