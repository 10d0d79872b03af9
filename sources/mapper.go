package sources

import "weir/schemas"

// Mapper makes the rows of a log stream anew from records that were kept: the
// raw of delivered rows and of dead letters. It needs no session, no
// credentials and no network, so that it works years later and offline.
//
// A row is a function of the record, the MapInput and the connector's
// configuration alone; what a vendor would have to be asked for is in no row of
// a log stream. Mapping a record that was delivered by this version gives the
// row that was delivered, column for column; internal/sourcetest proves it.
//
// A Mapper keeps memory between calls and is not for concurrent use.
type Mapper interface {
	// Map appends what a record becomes: as a rule one row. raw is the record
	// as it was kept, of any origin: it may be damaged. An error, of class
	// fault.BadData, says why it makes no row; rows is then as it was. The
	// rows' strings may alias raw; their lists may be the Mapper's until Reset.
	Map(in MapInput, raw string, rows *schemas.Rows) error
	// Reset takes the memory of all rows made since the last Reset back.
	Reset()
}

// MapInput is what a row may depend on beside its record.
type MapInput struct {
	// Stream is the stream that read the record. "": not known, as of a row in
	// a sink; the connector then tells by the record.
	Stream string
	// Tenant is the vendor's id of the organization, as in the envelope of the
	// row that carried the record, or as pinned in the state; "" while unknown.
	Tenant string
}
