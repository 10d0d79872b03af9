package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"weir/internal/fault"
	"weir/sinks"
)

// refusals are the server's errors that depend on the values of rows: sent
// again, the same rows are refused again. Everything else may pass, a missing
// table or column, other types, too many parts, memory and disk included: that
// is the table's or the server's fault, and no row's.
//
// The numbers are those of ClickHouse's src/Common/ErrorCodes.cpp.
var refusals = map[int]string{
	69:  "ARGUMENT_OUT_OF_BOUND",
	128: "TOO_LARGE_ARRAY_SIZE",
	131: "TOO_LARGE_STRING_SIZE",
	321: "VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE",
	349: "CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN",
	469: "VIOLATED_CONSTRAINT",
	691: "UNKNOWN_ELEMENT_OF_ENUM",
}

// answerError classes an answer that is no success.
func answerError(status int, code, line string) error {
	if n, err := strconv.Atoi(code); err == nil {
		if name, ok := refusals[n]; ok {
			return fault.New(fault.BadData, "the server refuses the data (%s): %.500s", name, line)
		}
	}
	return fmt.Errorf("HTTP %d: %.500s", status, line)
}

// sure keeps an error from being taken as a refusal of whole batches while the
// table holds some rows of one: its rows may then not be given other batch ids.
func (s *sink) sure(ctx context.Context, p *sinks.Part, err error) error {
	if err == nil || fault.Of(err) != fault.BadData {
		return err
	}
	short, cerr := s.missing(ctx, p)
	if cerr != nil {
		return fault.New(fault.Transient, "it is not known what is there: %w", errors.Join(cerr, err))
	}
	for _, b := range short {
		if b.have > 0 {
			return fault.New(fault.Transient, "%d of %d rows of batch %s are there, and the others are refused: %w", b.have, b.batch.Rows, b.batch.ID, err)
		}
	}
	return err
}
