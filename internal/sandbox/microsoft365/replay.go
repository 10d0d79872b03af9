package microsoft365

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Content types of the Management Activity API: there are no others (5.6.1).
const (
	contentEntra      = "Audit.AzureActiveDirectory"
	contentExchange   = "Audit.Exchange"
	contentSharePoint = "Audit.SharePoint"
	contentGeneral    = "Audit.General"
	contentDLP        = "DLP.All"
)

var contentTypes = []string{contentEntra, contentExchange, contentSharePoint, contentGeneral, contentDLP}

const (
	recordsPerBlob = 100
	maxRecord      = 8 << 20
	recordSuffix   = ".ndjson.gz"
)

// recording holds real records as they are served: grouped into blobs, byte for
// byte. They lie in a file without a name, which ends with the process: the
// memory that it takes does not grow with them but for a few bytes a blob.
type recording struct {
	file  *os.File
	blobs map[string][]span // by content type
}

// span is a blob's place in the file.
type span struct {
	at, size int64
}

// openRecording reads a directory of files that are named by their content type,
// "Audit.General.ndjson.gz", with a record a line. Records are grouped in the
// order in which they stand, so those that stand there twice are served twice.
func openRecording(dir string) (*recording, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("want a directory of %s%s and so on: %w", contentGeneral, recordSuffix, err)
	}
	file, err := os.CreateTemp("", "weir-replay-*")
	if err != nil {
		return nil, fmt.Errorf("a place for the records: %w", err)
	}
	_ = os.Remove(file.Name()) // where an open file cannot be removed, it stays behind
	r := &recording{file: file, blobs: map[string][]span{}}
	w := &spool{w: bufio.NewWriterSize(file, 1<<16)}
	for _, e := range entries {
		kind, ok := strings.CutSuffix(e.Name(), recordSuffix)
		if !ok || e.IsDir() {
			continue
		}
		if !slices.Contains(contentTypes, kind) {
			return nil, errors.Join(fmt.Errorf("%s: %q is no content type: want one of %s", filepath.Join(dir, e.Name()), kind, strings.Join(contentTypes, ", ")), file.Close())
		}
		spans, err := w.copy(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, errors.Join(err, file.Close())
		}
		if len(spans) > 0 {
			r.blobs[kind] = spans
		}
	}
	if len(r.blobs) == 0 {
		return nil, errors.Join(fmt.Errorf("no records in %s: want files such as %s%s with a record a line", dir, contentGeneral, recordSuffix), file.Close())
	}
	if err := w.w.Flush(); err != nil {
		return nil, errors.Join(fmt.Errorf("writing the records: %w", err), file.Close())
	}
	return r, nil
}

// open returns a blob's body and its size.
func (r *recording) open(s span) io.Reader { return io.NewSectionReader(r.file, s.at, s.size) }

// spool writes records into the file as the bodies of blobs.
type spool struct {
	w  *bufio.Writer
	at int64
}

func (w *spool) write(p []byte) error {
	n, err := w.w.Write(p)
	if w.at += int64(n); err != nil {
		return fmt.Errorf("writing the records: %w", err)
	}
	return nil
}

// copy takes the records of a file in.
func (w *spool) copy(name string) (spans []span, err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("records: %w", err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("%s: want gzip: %w", name, err)
	}
	lines := bufio.NewScanner(z)
	lines.Buffer(make([]byte, 1<<16), maxRecord)
	begin, records := w.at, 0
	end := func() error {
		if records == 0 {
			return nil
		}
		if err := w.write([]byte("]")); err != nil {
			return err
		}
		spans = append(spans, span{begin, w.at - begin})
		begin, records = w.at, 0
		return nil
	}
	for n := 1; lines.Scan(); n++ {
		line := lines.Bytes()
		if len(line) == 0 {
			continue
		}
		if v := jsontext.Value(line); v.Kind() != '{' || !v.IsValid() {
			return nil, fmt.Errorf("%s:%d: want a JSON object", name, n)
		}
		before := "["
		if records > 0 {
			before = ","
		}
		if err := errors.Join(w.write([]byte(before)), w.write(line)); err != nil {
			return nil, err
		}
		if records++; records == recordsPerBlob {
			if err := end(); err != nil {
				return nil, err
			}
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return spans, end()
}
