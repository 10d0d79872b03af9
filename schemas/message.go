package schemas

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// messages gives arrow-go one message for each piece, in place: nothing is
// copied, and no length in the input is believed. Arrow's own reader allocates
// what a damaged length asks for, which ends the process.
type messages struct {
	left [][]byte
}

var _ ipc.MessageReader = (*messages)(nil)

func (m *messages) Message() (*ipc.Message, error) {
	if len(m.left) == 0 {
		return nil, io.EOF
	}
	piece := m.left[0]
	m.left = m.left[1:]
	if len(piece) < 8 || binary.LittleEndian.Uint32(piece) != 0xffffffff {
		return nil, fmt.Errorf("%d bytes that are no Arrow message", len(piece))
	}
	size := int64(binary.LittleEndian.Uint32(piece[4:]))
	rest := piece[8:]
	if size < 4 || size > int64(len(rest)) {
		return nil, fmt.Errorf("an Arrow message of %d bytes in %d", size, len(rest))
	}
	// Clipped, for arrow-go slices buffers up to their capacity.
	meta, body := slices.Clip(rest[:size]), slices.Clip(rest[size:])
	if err := checkMeta(meta); err != nil {
		return nil, err
	}
	msg := ipc.NewMessage(memory.NewBufferBytes(meta), memory.NewBufferBytes(body))
	if msg.BodyLen() != int64(len(body)) {
		return nil, fmt.Errorf("an Arrow message with a body of %d bytes, not %d", len(body), msg.BodyLen())
	}
	return msg, nil
}

func (m *messages) Retain()  {}
func (m *messages) Release() {}

// noMemory is the allocator of a reader that needs none, since its arrays lie
// in the input. Only buffers with a compression of their own would ask, and
// Encode makes none.
type noMemory struct{}

func (noMemory) Allocate(int) []byte           { panic("a compressed buffer") }
func (noMemory) Reallocate(int, []byte) []byte { panic("a compressed buffer") }
func (noMemory) Free([]byte)                   {}

// What a schema may have at most.
const (
	maxColumns = 1000
	maxMeta    = 16 // entries
)

// Numbers of Arrow's Schema.fbs and Message.fbs.
const (
	headerSchema, headerRecordBatch                      = 1, 3
	typeInt, typeUtf8, typeBool, typeTimestamp, typeList = 2, 5, 6, 10, 12
)

// checkMeta sees to it that a message's metadata makes arrow-go neither loop nor
// allocate beyond reason: it believes every vector's length. Only what Encode
// makes, or an earlier version of it, passes. Offsets are not checked: reading
// outside of b panics, here as in arrow-go.
func checkMeta(b []byte) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("malformed: %v", v)
		}
	}()
	message := flat{b, 0}.follow()
	if n, _ := message.vector(4); n != 0 {
		return errors.New("an Arrow message with metadata of its own")
	}
	switch header := message.byte(1); header {
	case headerRecordBatch:
		return nil
	case headerSchema:
		schema := message.at(2).follow()
		if n, _ := schema.vector(2); n > maxMeta {
			return fmt.Errorf("a schema with %d entries of metadata", n)
		}
		return checkFields(schema, 1, maxColumns, 1)
	default:
		return fmt.Errorf("an Arrow message of type %d", header)
	}
}

// checkFields checks the fields in a slot of a schema or field: so many at most,
// of which a list may have so many items fields.
func checkFields(parent flat, slot int, most, items uint32) error {
	n, first := parent.vector(slot)
	if n > most {
		return fmt.Errorf("a schema with %d fields in one place", n)
	}
	for i := range n {
		field := flat{first.b, first.pos + int(4*i)}.follow()
		if field.at(4).pos != 0 {
			return errors.New("a field with a dictionary")
		}
		if n, _ := field.vector(6); n > maxMeta {
			return fmt.Errorf("a field with %d entries of metadata", n)
		}
		below := uint32(0)
		switch typ := field.byte(2); typ {
		case typeInt, typeUtf8, typeBool, typeTimestamp:
		case typeList:
			below = items
		default:
			return fmt.Errorf("a field of Arrow type %d", typ)
		}
		if err := checkFields(field, 5, below, 0); err != nil {
			return err
		}
	}
	return nil
}

// flat is a place in a flatbuffer.
type flat struct {
	b   []byte
	pos int // 0 where a slot is empty
}

// follow goes where the offset at this place points.
func (f flat) follow() flat {
	return flat{f.b, f.pos + int(binary.LittleEndian.Uint32(f.b[f.pos:]))}
}

// at returns the place of a table's slot.
func (f flat) at(slot int) flat {
	slots := f.b[f.pos-int(int32(binary.LittleEndian.Uint32(f.b[f.pos:]))):]
	offset, size := 4+2*slot, int(binary.LittleEndian.Uint16(slots))
	if offset >= size {
		return flat{}
	}
	if o := int(binary.LittleEndian.Uint16(slots[offset:])); o != 0 {
		return flat{f.b, f.pos + o}
	}
	return flat{}
}

// byte returns a number of one byte; 0 where the slot is empty.
func (f flat) byte(slot int) byte {
	if at := f.at(slot); at.pos != 0 {
		return at.b[at.pos]
	}
	return 0
}

// vector returns the length and the first element of a vector.
func (f flat) vector(slot int) (n uint32, first flat) {
	at := f.at(slot)
	if at.pos == 0 {
		return 0, flat{}
	}
	at = at.follow()
	return binary.LittleEndian.Uint32(at.b[at.pos:]), flat{at.b, at.pos + 4}
}
