package jwt

// Sign signs any header and claims.
func Sign(s Secret, head, claims string) string {
	text := encoding.EncodeToString([]byte(head)) + "." + encoding.EncodeToString([]byte(claims))
	return text + "." + encoding.EncodeToString(s.sign(text))
}
