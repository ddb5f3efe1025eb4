// Command judge says how CoreDNS's own lexer and parser read Corefiles, and whether its plugins' set-up takes them.
//
// It reads one JSON object a line and answers each with a list of verdicts on one line, one for each text.
package main

import (
	"bufio"
	"encoding/json"
	"io"
	"log"
	"os"
	"path/filepath"
	"strings"

	"github.com/coredns/caddy/caddyfile"

	"hairpin-proxy/tests/coredns/corefile"
)

const kubeconfig = `{
"apiVersion": "v1", "kind": "Config", "current-context": "local",
"clusters": [{"name": "local", "cluster": {"server": "http://127.0.0.1:1"}}],
"contexts": [{"name": "local", "context": {"cluster": "local"}}]
}`

type request struct {
	Texts []string          `json:"texts"`
	Files map[string]string `json:"files"`
	SetUp bool              `json:"set_up"`
}

type token struct {
	Text string `json:"text"`
	Line int    `json:"line"`
	// File is the imported file that it stands in; empty for the Corefile.
	File string `json:"file,omitempty"`
}

type block struct {
	Keys       []string           `json:"keys"`
	Directives map[string][]token `json:"directives"`
}

type verdict struct {
	Tokens  []token `json:"tokens"`
	Blocks  []block `json:"blocks"`
	Error   string  `json:"error"`
	Refused string  `json:"refused"`
}

func judge(folder, text string, setUp bool) verdict {
	result := verdict{Tokens: []token{}, Blocks: []block{}}
	path := filepath.Join(folder, "Corefile")
	dispenser := caddyfile.NewDispenser(path, strings.NewReader(text))
	for dispenser.Next() {
		result.Tokens = append(result.Tokens, token{dispenser.Val(), dispenser.Line(), ""})
	}
	parsed, err := caddyfile.Parse(path, strings.NewReader(text), nil)
	if err != nil {
		result.Error = err.Error()
	}
	for _, b := range parsed {
		directives := map[string][]token{}
		for name, tokens := range b.Tokens {
			for _, t := range tokens {
				directives[name] = append(directives[name], token{t.Text, t.Line, t.File})
			}
		}
		result.Blocks = append(result.Blocks, block{b.Keys, directives})
	}
	if setUp && err == nil {
		if _, _, err := corefile.SetUp(path, text); err != nil {
			result.Refused = err.Error()
		}
	}
	return result
}

func answer(folder string, asked request) ([]verdict, error) {
	remove, err := corefile.LayOut(folder, asked.Files)
	defer remove()
	if err != nil {
		return nil, err
	}
	verdicts := []verdict{}
	for _, text := range asked.Texts {
		verdicts = append(verdicts, judge(folder, text, asked.SetUp))
	}
	return verdicts, nil
}

func serve(folder string) error {
	input := bufio.NewReader(os.Stdin)
	output := json.NewEncoder(os.Stdout)
	for {
		line, err := input.ReadString('\n')
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		var asked request
		if err := json.Unmarshal([]byte(line), &asked); err != nil {
			return err
		}
		verdicts, err := answer(folder, asked)
		if err != nil {
			return err
		}
		if err := output.Encode(verdicts); err != nil {
			return err
		}
	}
}

func run() error {
	folder, err := os.MkdirTemp("", "hairpin-proxy-judge-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	credentials := filepath.Join(folder, "kubeconfig")
	if err := os.WriteFile(credentials, []byte(kubeconfig), 0o600); err != nil {
		return err
	}
	changes := map[string]corefile.Change{"kubernetes": corefile.WithKubeconfig(credentials)}
	corefile.Register(changes, corefile.Around{})
	return serve(folder)
}

func main() {
	log.SetOutput(io.Discard) // an import that matches nothing is only a warning
	if err := run(); err != nil {
		log.SetOutput(os.Stderr)
		log.Fatal(err)
	}
}
