// A filter that answers what Prometheus' own parsers say about pages and selectors.
//
// A request on stdin and its answer on stdout are frames: a length of four bytes, little-endian, and that many bytes.
// The first byte of a request is its kind: `P` for pages, `S` for selectors. The rest is a list of items.
package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"log"
	"os"
)

func main() {
	input := bufio.NewReaderSize(os.Stdin, 1<<20)
	for {
		request, err := readFrame(input)
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil || len(request) == 0 {
			log.Fatalf("no request: %v", err)
		}
		items := &reader{rest: request[1:]}
		var answer []byte
		switch request[0] {
		case 'P':
			answer = answerPages(items)
		case 'S':
			answer = answerSelectors(items)
		default:
			log.Fatalf("unknown request %q", request[0])
		}
		frame := binary.LittleEndian.AppendUint32(nil, uint32(len(answer)))
		if _, err := os.Stdout.Write(append(frame, answer...)); err != nil {
			log.Fatal(err)
		}
	}
}

func readFrame(input io.Reader) ([]byte, error) {
	var length uint32
	if err := binary.Read(input, binary.LittleEndian, &length); err != nil {
		return nil, err
	}
	frame := make([]byte, length)
	_, err := io.ReadFull(input, frame)
	return frame, err
}

// Reads the fields of the items of a request.
type reader struct{ rest []byte }

func (r *reader) isEmpty() bool { return len(r.rest) == 0 }

func (r *reader) byte() byte {
	next := r.rest[0]
	r.rest = r.rest[1:]
	return next
}

// Reads a length of four bytes, and that many bytes.
func (r *reader) bytes() []byte {
	length := binary.LittleEndian.Uint32(r.rest)
	text := r.rest[4 : 4+length]
	r.rest = r.rest[4+length:]
	return text
}
