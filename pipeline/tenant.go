package pipeline

import (
	"context"

	"weir/internal/failpoint"
	"weir/internal/fault"
)

// PinTenant remembers an instance's organization at first contact, and refuses
// another one later: its rows would mix two organizations under one name. It
// returns the pinned one. An unknown tenant ("") neither pins nor conflicts.
func (p *Pipeline) PinTenant(ctx context.Context, instance, tenant string) (string, error) {
	key := metaTenant + instance
	pinned, err := p.state.Meta(ctx, key)
	switch {
	case err != nil:
		return "", err
	case tenant == "" || tenant == pinned:
		return pinned, nil
	case pinned != "":
		return "", fault.New(fault.Permanent, "instance %s belonged to organization %s and now reaches %s: give the other organization an instance of its own", instance, pinned, tenant)
	}
	return tenant, p.committer.update(ctx, func(tx Tx) error {
		if err := failpoint.Hit(failpoint.TenantPin); err != nil {
			return err
		}
		return tx.SetMeta(key, tenant)
	})
}
