package parquet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"

	"weir/internal/durable"
	"weir/internal/failpoint"
	"weir/sinks"
)

// daysDir holds a file for each day that has closed, within weirDir.
const daysDir = "days"

var _ sinks.DayMarker = (*sink)(nil)

// MarkDay implements sinks.DayMarker: _weir/days/<dt>.json appears, and is
// replaced, whole.
func (s *sink) MarkDay(_ context.Context, d sinks.DayMark) error {
	dir := filepath.Join(s.root, weirDir, daysDir)
	if err := s.makeDir(dir); err != nil {
		s.made.Clear()
		return fmt.Errorf("marking day %s: %w", d.Date, err)
	}
	b, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return err
	}
	f, tmp, err := s.create(d.Date, "day", markSuffix, durable.Points{Write: failpoint.DayWrite, Rename: failpoint.DayRename})
	if err != nil {
		s.made.Clear()
		return fmt.Errorf("marking day %s: %w", d.Date, err)
	}
	defer s.live.Delete(tmp)
	if _, err := f.Write(append(b, '\n')); err != nil {
		return fmt.Errorf("marking day %s: %w", d.Date, errors.Join(err, f.Discard()))
	}
	if err := f.Publish(filepath.Join(dir, d.Date+markSuffix)); err != nil {
		s.made.Clear()
		return fmt.Errorf("marking day %s: %w", d.Date, err)
	}
	return nil
}
