package parquet

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"

	"weir/internal/durable"
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
	if err := durable.WriteFile(filepath.Join(dir, d.Date+".json"), append(b, '\n'), durable.Points{}); err != nil {
		s.made.Clear()
		return fmt.Errorf("marking day %s: %w", d.Date, err)
	}
	return nil
}
