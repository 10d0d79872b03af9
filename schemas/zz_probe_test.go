package schemas

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
)

func TestProbe(t *testing.T) {
	table := ByName(TableActivities)
	b := NewBuilder(table)
	e, _ := b.Encode(testEnvelope, &Rows{Activities: []Activity{{EventID: "abc", TargetIDs: []string{"t"}}, {EventID: "def"}}}, nil)
	plain, _ := decompress.DecodeAll(e.Body, nil)
	try := func(name string, body []byte) {
		defer func() {
			if v := recover(); v != nil {
				fmt.Println(name, "PANIC AFTER DECODE:", v)
			}
		}()
		var m0, m1 runtime.MemStats
		runtime.ReadMemStats(&m0)
		rec, err := Decode(table, Encoded{Head: e.Head, Body: compress.EncodeAll(body, nil)})
		runtime.ReadMemStats(&m1)
		fmt.Println(name, "err:", err, "alloc MB:", (m1.TotalAlloc-m0.TotalAlloc)>>20)
		if err == nil {
			fmt.Println("  rows", rec.NumRows())
			for i := range rec.Columns() {
				switch c := rec.Column(i).(type) {
				case *array.String:
					for k := range c.Len() {
						_ = c.Value(k) + ""
					}
				case *array.List:
					for k := range c.Len() {
						f, to := c.ValueOffsets(k)
						v := c.ListValues().(*array.String)
						for q := f; q < to; q++ {
							_ = v.Value(int(q))
						}
					}
				}
			}
		}
	}
	try("ok", plain)
	try("two batches", append(append([]byte{}, plain...), plain...))
	try("trailing", append(append([]byte{}, plain...), 1, 2, 3))
	big := append([]byte{}, plain...)
	binary.LittleEndian.PutUint32(big[4:], 1<<30)
	try("metadata length", big)
	n := 0
	for i := 0; i < len(plain); i++ {
		for _, x := range []byte{0x7f, 0x80, 0xff} {
			c := append([]byte{}, plain...)
			c[i] ^= x
			func() {
				defer func() {
					if v := recover(); v != nil {
						n++
						if n < 4 {
							fmt.Println("flip", i, v)
						}
					}
				}()
				rec, err := Decode(table, Encoded{Head: e.Head, Body: compress.EncodeAll(c, nil)})
				if err != nil {
					return
				}
				for i := range rec.Columns() {
					switch c := rec.Column(i).(type) {
					case *array.String:
						for k := range c.Len() {
							_ = c.Value(k) + ""
						}
					case *array.List:
						for k := range c.Len() {
							f, to := c.ValueOffsets(k)
							v := c.ListValues().(*array.String)
							if to-f > 1000 {
								panic("silly list")
							}
							for q := f; q < to; q++ {
								_ = v.Value(int(q))
							}
						}
					}
				}
			}()
		}
	}
	fmt.Println("panics after decode by byte flips:", n, "of", 3*len(plain))
}
