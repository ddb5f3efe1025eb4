// Command judge says how CoreDNS's own lexer and parser read a Corefile.
//
// It reads one JSON string a line and answers each with one JSON object a line.
package main

import (
	"bufio"
	"encoding/json"
	"io"
	"log"
	"os"
	"strings"

	"github.com/coredns/caddy/caddyfile"
)

type token struct {
	Text string `json:"text"`
	Line int    `json:"line"`
}

type block struct {
	Keys       []string           `json:"keys"`
	Directives map[string][]token `json:"directives"`
}

type verdict struct {
	Tokens []token `json:"tokens"`
	Blocks []block `json:"blocks"`
	Error  string  `json:"error"`
}

func judge(text string) verdict {
	result := verdict{Tokens: []token{}, Blocks: []block{}}
	dispenser := caddyfile.NewDispenser("Corefile", strings.NewReader(text))
	for dispenser.Next() {
		result.Tokens = append(result.Tokens, token{dispenser.Val(), dispenser.Line()})
	}
	parsed, err := caddyfile.Parse("Corefile", strings.NewReader(text), nil)
	if err != nil {
		result.Error = err.Error()
	}
	for _, b := range parsed {
		directives := map[string][]token{}
		for name, tokens := range b.Tokens {
			for _, t := range tokens {
				directives[name] = append(directives[name], token{t.Text, t.Line})
			}
		}
		result.Blocks = append(result.Blocks, block{b.Keys, directives})
	}
	return result
}

func main() {
	log.SetOutput(io.Discard) // an import that matches nothing is only a warning
	input := bufio.NewReader(os.Stdin)
	output := json.NewEncoder(os.Stdout)
	for {
		line, err := input.ReadString('\n')
		if err != nil {
			return
		}
		var text string
		if err := json.Unmarshal([]byte(line), &text); err != nil {
			log.Fatal(err)
		}
		if err := output.Encode(judge(text)); err != nil {
			return
		}
	}
}
