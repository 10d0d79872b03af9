// Package vault keeps secrets that vendors gave, encrypted, in files below the
// data directory:
//
//	data_dir/vault/<instance>/<name>   one secret
//	data_dir/vault/<instance>/.lock    held while one is changed
//
// A file is
//
//	"WEIRVLT1" | key id, 8 bytes | nonce, 12 bytes | ciphertext with its tag
//
// sealed with AES-256-GCM under a key that HKDF-SHA256 derives from the agent's
// key. The additional data are the header's bytes, the instance and the name,
// so that a file cannot stand in for another. The key id, derived beside the
// key, tells a wrong key from a damaged file.
package vault

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/jonboulle/clockwork"
	"golang.org/x/sys/unix"

	"weir/internal/durable"
	"weir/internal/failpoint"
	"weir/internal/fault"
)

// Vault is the secrets of all instances.
type Vault struct {
	dir   string
	key   func() (string, error)
	clock clockwork.Clock
}

// MinKey is the least length of the agent's key, in characters.
const MinKey = 32

// HowToMakeKey is the advice for who has none.
const HowToMakeKey = "make one outside data_dir with `openssl rand -base64 32 > /etc/weir/key && chmod 600 /etc/weir/key`, owned by Weir's user, and set `key: \"${file:/etc/weir/key}\"` in the agent section"

// New returns the vault in a data directory. It touches nothing yet. key
// returns the agent's key, at each use; a nil func: none is configured.
func New(dataDir string, key func() (string, error), clock clockwork.Clock) *Vault {
	return &Vault{filepath.Join(dataDir, "vault"), key, clock}
}

// Of returns the secrets of an instance.
func (v *Vault) Of(instance string) *Secrets { return &Secrets{v, instance} }

// Secrets are an instance's secrets. It is safe for concurrent use, also by
// another process.
type Secrets struct {
	vault    *Vault
	instance string
}

var validName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)

func (s *Secrets) path(name string) (string, error) {
	if !validName.MatchString(s.instance) || !validName.MatchString(name) {
		return "", fault.New(fault.Permanent, "vault: %q of %q is no name of a secret", name, s.instance)
	}
	return filepath.Join(s.vault.dir, s.instance, name), nil
}

// Load returns the secret of a name; nil when there is none.
func (s *Secrets) Load(_ context.Context, name string) ([]byte, error) {
	file, err := s.path(name)
	if err != nil {
		return nil, err
	}
	return s.load(file, name)
}

func (s *Secrets) load(file, name string) ([]byte, error) {
	data, err := readFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fault.New(fault.Transient, "vault: reading %s: %w", file, err)
	}
	k, err := s.vault.derive()
	if err != nil {
		return nil, fault.New(fault.Auth, "vault: %s cannot be opened: %w", file, err)
	}
	secret, err := k.open(data, s.instance, name)
	if err != nil {
		return nil, fault.New(fault.Auth, "vault: %s: %w", file, err)
	}
	return secret, nil
}

// Save replaces it, and returns when that is durable.
func (s *Secrets) Save(ctx context.Context, name string, secret []byte) error {
	file, err := s.path(name)
	if err != nil {
		return err
	}
	return s.locked(ctx, func() error { return s.save(file, name, secret) })
}

// Update calls change with the secret of a name, nil when there is none, and
// saves what it returns, unless that is nil. No other Save or Update of the
// instance, in any process, runs meanwhile. An error of change's is returned as
// it is, and nothing is saved.
func (s *Secrets) Update(ctx context.Context, name string, change func([]byte) ([]byte, error)) error {
	file, err := s.path(name)
	if err != nil {
		return err
	}
	return s.locked(ctx, func() error {
		secret, err := s.load(file, name)
		if err != nil {
			return err
		}
		next, err := change(secret)
		if err != nil || next == nil {
			return err
		}
		return s.save(file, name, next)
	})
}

func (s *Secrets) save(file, name string, secret []byte) error {
	k, err := s.vault.derive()
	if err != nil {
		return fault.New(fault.Auth, "vault: %s cannot be kept: %w", file, err)
	}
	sealed, err := k.seal(secret, s.instance, name)
	if err != nil {
		return fault.New(fault.Permanent, "vault: sealing %s: %w", file, err)
	}
	if len(sealed) > maxFile {
		return fault.New(fault.Permanent, "vault: a secret of %d bytes is too large for %s", len(secret), file)
	}
	if err := durable.WriteFile(file, sealed, durable.Points{Write: failpoint.VaultWrite, Sync: failpoint.VaultSync, Rename: failpoint.VaultRename}); err != nil {
		return fault.New(fault.Transient, "vault: keeping %s: %w", file, err)
	}
	return nil
}

const lockEvery = 20 * time.Millisecond

// locked runs do while nobody else changes the instance's secrets.
func (s *Secrets) locked(ctx context.Context, do func() error) error {
	dir := filepath.Join(s.vault.dir, s.instance)
	if err := durable.MkdirAll(dir); err != nil {
		return fault.New(fault.Transient, "vault: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, ".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fault.New(fault.Transient, "vault: %w", err)
	}
	defer func() { _ = f.Close() }() // which unlocks
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			return do()
		case errors.Is(err, unix.EINTR):
			continue
		case !errors.Is(err, unix.EWOULDBLOCK):
			return fault.New(fault.Transient, "vault: locking %s: %w", f.Name(), err)
		}
		select {
		case <-s.vault.clock.After(lockEvery):
		case <-ctx.Done():
			return fmt.Errorf("vault: waiting for %s: %w", f.Name(), context.Cause(ctx))
		}
	}
}

// maxFile bounds a file of the vault, in bytes.
const maxFile = 1 << 20

func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("larger than %d bytes", maxFile)
	}
	return data, err
}

// keys are derived from the agent's key.
type keys struct {
	aead cipher.AEAD
	id   []byte
}

func (v *Vault) derive() (*keys, error) {
	if v.key == nil {
		return nil, errors.New("the agent has no key: " + HowToMakeKey)
	}
	master, err := v.key()
	if err != nil {
		return nil, fmt.Errorf("the agent's key: %w", err)
	}
	return newKeys(master)
}

const (
	magic = "WEIRVLT1"
	idLen = 8
)

func newKeys(master string) (*keys, error) {
	if len(master) < MinKey {
		return nil, fmt.Errorf("the agent's key has %d characters, and needs %d: %s", len(master), MinKey, HowToMakeKey)
	}
	key, err := hkdf.Key(sha256.New, []byte(master), nil, "weir vault 1: key", 32)
	if err != nil {
		return nil, err
	}
	id, err := hkdf.Key(sha256.New, []byte(master), nil, "weir vault 1: key id", idLen)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	return &keys{aead, id}, err
}

func (k *keys) seal(secret []byte, instance, name string) ([]byte, error) {
	out := append([]byte(magic), k.id...)
	aad := additional(out, instance, name)
	nonce := make([]byte, k.aead.NonceSize())
	if _, err := rand.Read(nonce); err != nil {
		return nil, err
	}
	out = append(out, nonce...)
	return k.aead.Seal(out, nonce, secret, aad), nil
}

// open never returns a nil secret without an error.
func (k *keys) open(data []byte, instance, name string) ([]byte, error) {
	header := len(magic) + idLen
	if len(data) < header+k.aead.NonceSize()+k.aead.Overhead() {
		return nil, errDamaged
	}
	if string(data[:len(magic)]) != magic {
		return nil, errDamaged
	}
	if !bytes.Equal(data[len(magic):header], k.id) {
		return nil, errors.New("it was written with another key than the agent's: restore that key, or remove the file and run `weir connect` again")
	}
	nonce, sealed := data[header:header+k.aead.NonceSize()], data[header+k.aead.NonceSize():]
	secret, err := k.aead.Open([]byte{}, nonce, sealed, additional(data[:header], instance, name))
	if err != nil {
		return nil, errDamaged
	}
	return secret, nil
}

var errDamaged = errors.New("it is damaged, or another secret's file: restore it from a backup, or remove it and run `weir connect` again")

func additional(header []byte, instance, name string) []byte {
	return []byte(string(header) + "\x00" + instance + "\x00" + name) // names hold no zero bytes
}
