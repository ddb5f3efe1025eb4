// Package corefile takes a Corefile through CoreDNS's own parser and the set-up of its own plugins.
//
// It is a server type beside CoreDNS's "dns": the same directives with the same set-up functions, but for what cannot
// be had outside of a cluster. There the directive's tokens are changed just before its own set-up reads them, so that
// the text stays what it is.
package corefile

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/coredns/caddy"
	"github.com/coredns/caddy/caddyfile"
	"github.com/coredns/coredns/core/dnsserver"
	_ "github.com/coredns/coredns/core/plugin" // all plugins of the real CoreDNS
)

// Name is the server type's.
const Name = "corefile"

// Change makes other tokens of a directive's tokens; there may be several of the directive in one list.
type Change func([]caddyfile.Token) []caddyfile.Token

// Around is called before and after each set-up of a directive.
type Around struct {
	Before, After func(directive string, c *caddy.Controller)
}

var (
	lastInstance *caddy.Instance
	lastContext  caddy.Context
)

// Register makes the server type.
func Register(changes map[string]Change, around Around) {
	for _, name := range dnsserver.Directives {
		setup, err := caddy.DirectiveAction("dns", name)
		if err != nil {
			continue // CoreDNS knows its name only
		}
		setup = around.each(name, changed(setup, changes[name]))
		caddy.RegisterPlugin(name, caddy.Plugin{ServerType: Name, Action: setup})
	}
	caddy.RegisterServerType(Name, caddy.ServerType{
		Directives: func() []string { return dnsserver.Directives },
		NewContext: func(i *caddy.Instance) caddy.Context {
			lastInstance, lastContext = i, caddy.NewTestController("dns", "").Context()
			return lastContext
		},
	})
	caddy.Quiet, dnsserver.Quiet = true, true
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: noNetwork}
}

func (a Around) each(name string, setup caddy.SetupFunc) caddy.SetupFunc {
	if a.Before == nil || a.After == nil {
		return setup
	}
	return func(c *caddy.Controller) error {
		a.Before(name, c)
		err := setup(c)
		a.After(name, c)
		return err
	}
}

// noNetwork keeps a plugin from asking the machine's own DNS for a name that a Corefile holds.
func noNetwork(context.Context, string, string) (net.Conn, error) {
	return nil, errors.New("no name is looked up here")
}

func changed(setup caddy.SetupFunc, change Change) caddy.SetupFunc {
	if change == nil {
		return setup
	}
	return func(c *caddy.Controller) error {
		var tokens []caddyfile.Token
		file := c.File()
		for c.Next() {
			tokens = append(tokens, caddyfile.Token{File: c.File(), Line: c.Line(), Text: c.Val()})
		}
		c.Dispenser = caddyfile.NewDispenserTokens(file, change(tokens))
		return setup(c)
	}
}

// SetUp runs everything that CoreDNS runs before it starts, and returns what it would start, or why it would not.
func SetUp(path, text string) (made *caddy.Instance, servers []caddy.Server, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("panic: %v", fault)
		}
	}()
	input := caddy.CaddyfileInput{Filepath: path, Contents: []byte(text), ServerTypeName: Name}
	if err = caddy.ValidateAndExecuteDirectives(input, nil, true); err != nil {
		return nil, nil, err
	}
	servers, err = lastContext.MakeServers()
	return lastInstance, servers, err
}

// LayOut writes files into a folder, and returns what takes them away again.
func LayOut(folder string, files map[string]string) (remove func(), err error) {
	var written []string
	remove = func() {
		for _, path := range written {
			os.Remove(path)
		}
	}
	for name, content := range files {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return remove, err
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			return remove, err
		}
		written = append(written, path)
	}
	return remove, nil
}

// Stanza is one use of a directive in a server block: its line, and what stands in its braces.
type Stanza struct {
	Line, Inside []caddyfile.Token
}

// EachStanza changes every use of a directive on its own.
func EachStanza(change func(*Stanza)) Change {
	return func(tokens []caddyfile.Token) []caddyfile.Token {
		var result []caddyfile.Token
		for len(tokens) > 0 {
			end := endOfStanza(tokens)
			result = append(result, changedStanza(tokens[:end], change)...)
			tokens = tokens[end:]
		}
		return result
	}
}

func endOfStanza(tokens []caddyfile.Token) int {
	nesting := 0
	for i := 1; i < len(tokens); i++ {
		if nesting == 0 && !sameLine(tokens[i-1], tokens[i]) {
			return i
		}
		switch tokens[i].Text {
		case "{":
			nesting++
		case "}":
			nesting--
		}
	}
	return len(tokens)
}

func sameLine(a, b caddyfile.Token) bool {
	return a.File == b.File && a.Line == b.Line
}

func changedStanza(tokens []caddyfile.Token, change func(*Stanza)) []caddyfile.Token {
	head := tokens[0]
	var stanza Stanza
	var opening, closing []caddyfile.Token
	stanza.Line = tokens
	for i, t := range tokens {
		if i > 0 && t.Text == "{" && tokens[len(tokens)-1].Text == "}" {
			stanza.Line, opening = tokens[:i], tokens[i:i+1]
			stanza.Inside, closing = tokens[i+1:len(tokens)-1], tokens[len(tokens)-1:]
			break
		}
	}
	change(&stanza)
	if opening == nil && len(stanza.Inside) > 0 {
		opening = []caddyfile.Token{{File: head.File, Line: head.Line, Text: "{"}}
		closing = []caddyfile.Token{{File: "closing", Line: 1, Text: "}"}}
	}
	result := append([]caddyfile.Token{}, stanza.Line...)
	for _, part := range [][]caddyfile.Token{opening, stanza.Inside, closing} {
		result = append(result, part...)
	}
	return result
}

// Words are the tokens of one line that stands in no file.
func Words(words ...string) []caddyfile.Token {
	var tokens []caddyfile.Token
	for _, word := range words {
		tokens = append(tokens, caddyfile.Token{File: "changed", Line: 1, Text: word})
	}
	return tokens
}

// WithoutOption takes an option and its arguments out of a stanza's braces.
func WithoutOption(inside []caddyfile.Token, name string) []caddyfile.Token {
	var kept []caddyfile.Token
	for i, dropping := 0, false; i < len(inside); i++ {
		if i == 0 || !sameLine(inside[i-1], inside[i]) {
			dropping = inside[i].Text == name
		}
		if !dropping {
			kept = append(kept, inside[i])
		}
	}
	return kept
}

// WithKubeconfig gives the kubernetes plugin the credentials that it would find in its pod.
func WithKubeconfig(path string) Change {
	return EachStanza(func(s *Stanza) {
		for _, option := range []string{"kubeconfig", "endpoint", "tls"} {
			s.Inside = WithoutOption(s.Inside, option)
		}
		s.Inside = append(Words("kubeconfig", path, "local"), s.Inside...)
	})
}
