package bench

import (
	"bytes"
	"strconv"
)

// headLength returns the length of a message's head, the empty line included; 0 when it is not whole.
func headLength(b []byte) int {
	if i := bytes.Index(b, []byte("\r\n\r\n")); i >= 0 {
		return i + 4
	}
	return 0
}

// parseReply reads the head of an HTTP/1.1 reply: its status, the length of the whole message, and whether the server closes
// the connection after it. The length is 0 while the head is not whole, and -1 when the reply is not one that a Go server
// gives to a POST: a status line and a Content-Length.
func parseReply(b []byte) (status, length int, closing bool) {
	end := headLength(b)
	if end == 0 {
		return 0, 0, false
	}
	head := b[:end]
	status = number(after(head, "HTTP/1.1 "))
	body := number(after(head, "\r\nContent-Length: "))
	if status < 100 || body < 0 {
		return status, -1, true
	}
	return status, end + body, bytes.Contains(head, []byte("\r\nConnection: close\r\n"))
}

// after returns what follows the text in b, nil where it does not occur.
func after(b []byte, text string) []byte {
	i := bytes.Index(b, []byte(text))
	if i < 0 {
		return nil
	}
	return b[i+len(text):]
}

// number reads the decimal digits at the start of b, at most nine; -1 when there are none.
func number(b []byte) int {
	n := 0
	for n < len(b) && n < 9 && b[n] >= '0' && b[n] <= '9' {
		n++
	}
	v, err := strconv.Atoi(string(b[:n]))
	if err != nil {
		return -1
	}
	return v
}
