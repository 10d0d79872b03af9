package cli

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"os"

	"weir/agent/govern"
	"weir/schemas"
)

// signFlag is the flag of commands that ask for something or decide.
type signFlag struct {
	SignKey string `placeholder:"FILE" help:"Sign with this Ed25519 private key, in PEM."`
}

const maxKeyFile = 64 << 10

func readKey(file string) (ed25519.PrivateKey, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
	if err != nil {
		return nil, err
	}
	key, err := govern.SigningKey(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return key, nil
}

func (s signFlag) request(row *schemas.ActionRow) error {
	if s.SignKey == "" {
		return nil
	}
	key, err := readKey(s.SignKey)
	if err == nil {
		row.Signature = govern.Sign(key, govern.RequestText(*row))
	}
	return err
}

func (s signFlag) decision(d *schemas.ApprovalRow) error {
	if s.SignKey == "" {
		return nil
	}
	key, err := readKey(s.SignKey)
	if err == nil {
		d.Signature = govern.Sign(key, govern.DecisionText(*d))
	}
	return err
}

type actionsSignCmd struct {
	Row  string `arg:"" optional:"" default:"-" help:"File with a row of actions or action_approvals: a JSON object of its columns; - is standard input."`
	Key  string `placeholder:"FILE" xor:"what" required:"true" help:"Ed25519 private key, in PEM."`
	Text bool   `xor:"what" required:"true" help:"Print the text to sign instead, for a key that cannot be had as a file."`
}

const maxRow = 1 << 20

// Run implements the command.
func (r *actionsSignCmd) Run(c *console) error {
	in := os.Stdin
	if r.Row != "-" {
		f, err := os.Open(r.Row)
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	row, err := io.ReadAll(io.LimitReader(in, maxRow+1))
	if err != nil {
		return err
	}
	if len(row) > maxRow {
		return errors.New("the row is larger than 1 MiB")
	}
	var key ed25519.PrivateKey
	if !r.Text {
		if key, err = readKey(r.Key); err != nil {
			return err
		}
	}
	out, err := govern.SignRow(row, key)
	if err != nil {
		return err
	}
	if !r.Text {
		out = append(out, '\n')
	}
	_, err = c.out.Write(out)
	return err
}
