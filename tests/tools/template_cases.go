// SPDX-License-Identifier: Apache-2.0

// What Prometheus and Alertmanager make of templates: the expected values of tests/unit/template/cases.jsonl, and random
// templates to compare by. It needs both as modules (in a folder of its own: go mod init cases, go get
// github.com/prometheus/prometheus@v0.316.0 github.com/prometheus/alertmanager@v0.35.0, go mod tidy, go build), so it
// is no part of the build.
//
//	cases fill FILE           fills in "out" or "err" of each line {"mode": ..., "in": ...}
//	cases random SEED COUNT   prints lines of random templates with their results
//
// Modes: rule (an alert's annotation), notify (Alertmanager, text), mail (Alertmanager, HTML), console (Prometheus, HTML).
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	alertmanager "github.com/prometheus/alertmanager/template"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	prometheus "github.com/prometheus/prometheus/template"
)

type line struct {
	Mode string  `json:"mode"`
	In   string  `json:"in"`
	Out  *string `json:"out,omitempty"`
	Err  *string `json:"err,omitempty"`
}

const now = model.Time(1700000000123)

const variables = "{{$labels := .Labels}}{{$externalLabels := .ExternalLabels}}" +
	"{{$externalURL := .ExternalURL}}{{$value := .Value}}"

var ruleLabels = map[string]string{
	"alertname": "Down", "instance": "web-1.example.com:9100", "job": "node", "quote": `a"b'c<d>&e`, "empty": "",
}

func query(_ context.Context, q string, _ time.Time) (promql.Vector, error) {
	switch q {
	case "up":
		return promql.Vector{
			{F: 1, Metric: labels.FromStrings("__name__", "up", "instance", "b")},
			{F: 0, Metric: labels.FromStrings("__name__", "up", "instance", "a", "__value__", "text")},
		}, nil
	case "none":
		return promql.Vector{}, nil
	}
	return nil, errors.New("unknown query")
}

func expander(text string) *prometheus.Expander {
	u, _ := url.Parse("http://belfry.example:9090/prefix")
	data := prometheus.AlertTemplateData(ruleLabels, map[string]string{"region": "eu"}, u.String(), promql.Sample{F: 1234.5678})
	return prometheus.NewTemplateExpander(context.Background(), text, "t", data, now, query, u, nil)
}

func notification() *alertmanager.Data {
	start := time.Unix(1700000000, 123456789).UTC()
	alert := func(status, instance, summary string) alertmanager.Alert {
		a := alertmanager.Alert{Status: status, StartsAt: start, GeneratorURL: "http://p/graph?g0.expr=up&g0.tab=1",
			Fingerprint: "0123456789abcdef",
			Labels:      alertmanager.KV{"alertname": "Down", "instance": instance, "job": "node"},
			Annotations: alertmanager.KV{"summary": summary}}
		if status == "resolved" {
			a.EndsAt = start.Add(90 * time.Second)
		}
		return a
	}
	return &alertmanager.Data{
		Receiver: "team", Status: "firing",
		Alerts: alertmanager.Alerts{
			alert("firing", "a:1", "<b>down</b> & 'out'"), alert("firing", "b:1", "\"quoted\""), alert("resolved", "c:1", ""),
		},
		GroupLabels:       alertmanager.KV{"alertname": "Down"},
		CommonLabels:      alertmanager.KV{"alertname": "Down", "job": "node"},
		CommonAnnotations: alertmanager.KV{},
		RouteLabels:       alertmanager.KV{},
		ExternalURL:       "http://am.example/x?a=1&b=2",
	}
}

func run(mode, text string) (string, error) {
	u, _ := url.Parse("http://am.example/x?a=1&b=2")
	t, err := alertmanager.New()
	if err != nil {
		return "", err
	}
	t.ExternalURL = u
	switch mode {
	case "rule":
		return expander(variables + text).Expand()
	case "console":
		return expander(text).ExpandHTML(nil)
	case "notify":
		return t.ExecuteTextString(text, notification())
	case "mail":
		return t.ExecuteHTMLString(text, notification())
	}
	return "", errors.New("unknown mode")
}

// The sentence behind the place: where it happened is not compared, Prometheus counts the declarations of variables.
func sentence(err error) string {
	s := err.Error()
	if i := strings.Index(s, " at <"); strings.Contains(s, ": executing ") && i >= 0 {
		if j := strings.Index(s[i:], ">: "); j >= 0 {
			return s[i+j+3:]
		}
	}
	if i := strings.Index(s, "template: "); i >= 0 {
		s = s[i+len("template: "):]
		if j := strings.Index(s, ": "); j >= 0 {
			s = s[j+2:]
		}
	}
	return s
}

func (l *line) fill() {
	out, err := run(l.Mode, l.In)
	l.Out, l.Err = nil, nil
	if err != nil {
		s := sentence(err)
		l.Err = &s
	} else {
		l.Out = &out
	}
}

func (l *line) write(w *bufio.Writer) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(l); err != nil {
		panic(err)
	}
	w.Write(b.Bytes())
}

func fill(path string) {
	data, err := os.ReadFile(path)
	if err != nil {
		panic(err)
	}
	f, err := os.Create(path)
	if err != nil {
		panic(err)
	}
	w := bufio.NewWriter(f)
	for _, s := range strings.Split(strings.TrimSpace(string(data)), "\n") {
		var l line
		if err := json.Unmarshal([]byte(s), &l); err != nil {
			panic(err)
		}
		l.fill()
		l.write(w)
	}
	w.Flush()
	f.Close()
}

// A generator of templates: mostly well formed, some with types that do not fit.
type maker struct {
	r     *rand.Rand
	mode  string
	vars  []string
	depth int
}

func (m *maker) pick(list ...string) string { return list[m.r.Intn(len(list))] }

func (m *maker) literal() string {
	return m.pick("1", "0", "-3", "2.5", "1e6", "0x1f", "1_000", `"a"`, `""`, "`raw`", `"x\ty"`, "true", "false", "nil", "'c'",
		`"1.5"`, `"é"`, "10000000000")
}

func (m *maker) str() string {
	if m.r.Intn(12) == 0 {
		return m.any()
	}
	if m.mode == "rule" {
		return m.pick(`"a"`, `"Hello wORLD"`, "`r\\n`", `"é<&>'\""`, `"1.5"`, "$labels.job", "$labels.quote", ".Labels.instance", "$externalURL", "$labels.none",
			"(toUpper $labels.job)", `(printf "%s-%v" $labels.job 1)`, "(index $labels \"job\")")
	}
	return m.pick(`"a"`, `"Hello wORLD"`, `"é<&>'\""`, `"1.5"`, ".Status", ".CommonLabels.job", ".ExternalURL", ".GroupLabels.none", "(toUpper .Status)",
		`(join "," .CommonLabels.Names)`, "(index .Alerts 0).Labels.instance", "(index .Alerts 0).Annotations.summary")
}

func (m *maker) number() string {
	if m.r.Intn(12) == 0 {
		return m.any()
	}
	return m.pick("1", "0", "-3", "2.5", "1e6", "0x1f", "1_000", "'c'", "1234567.891", "0.000123", "-1e-9", "(len \"abc\")", "86461.5", "1e21",
		map[string]string{"rule": "$value", "notify": "(len .Alerts)"}[m.mode])
}

func (m *maker) any() string {
	m.depth++
	defer func() { m.depth-- }()
	switch n := m.r.Intn(8); {
	case n == 0:
		return m.literal()
	case n == 1 && len(m.vars) > 0:
		return m.pick(m.vars...)
	case n == 2 && m.depth < 4:
		return "(" + m.pipeline() + ")"
	case n == 3:
		return m.number()
	case n < 6 && m.mode == "rule":
		return m.pick("$labels", ".Labels", "$externalLabels", ".Labels.job", "$labels.none", "(args 1 \"x\" nil)", `(query "up" | first | value)`)
	case n < 6:
		return m.pick(".Alerts.Firing", ".GroupLabels", ".CommonLabels", ".CommonLabels.SortedPairs", ".CommonLabels.Values", ".CommonAnnotations",
			"(list 1 \"a\" nil 2.5)", "(dict \"k\" 1)", "(stringSlice \"a\" \"b\")")
	}
	return m.str()
}

func (m *maker) command() string {
	call := func(name string, args ...string) string { return strings.Join(append([]string{name}, args...), " ") }
	switch m.r.Intn(22) {
	case 0:
		return call(m.pick("and", "or"), m.any(), m.any())
	case 1:
		return call("not", m.any())
	case 2:
		return call(m.pick("eq", "ne", "lt", "le", "gt", "ge"), m.str(), m.str())
	case 3:
		return call(m.pick("eq", "ne", "lt", "le", "gt", "ge"), m.number(), m.number())
	case 4:
		return call("len", m.any())
	case 5:
		return call("index", m.any(), m.pick("0", "1", `"job"`, `"k"`))
	case 6:
		return call("slice", m.str(), m.pick("0", "1", "2"), m.pick("1", "2", "3"))
	case 7:
		return call(m.pick("print", "println", "html", "js", "urlquery"), m.any(), m.any())
	case 8, 9, 10:
		verb := m.pick("%v", "%s", "%d", "%q", "%f", "%.2f", "%g", "%e", "%x", "%X", "%t", "%T", "%5d", "%-10s|", "%05d", "%+d", "%c",
			"%U", "%o", "%b", "%#x", "%+v", "%#v", "%8.3f", "%-8.2f|", "%08.2f", "%.3s", "%10q", "%%", "%z", "%", "%[1]v", "%*d", "% x", "%O", "%G",
			"%6.2f%%", "%+.1e", "%x", "%#q", "%+q")
		return call("printf", strconv.Quote(verb+m.pick("", " %v", " ")), m.any(), m.any())
	case 11:
		return call(m.pick("toUpper", "toLower", "title"), m.str())
	case 12:
		return call("match", m.pick(`"a.*"`, `"^n"`, `"["`, `"(x)?"`), m.str())
	case 13:
		return call("reReplaceAll", m.pick(`"(.)"`, `"o*"`, `"[aeiou]"`, `"^"`), m.pick(`"<$1>"`, `"-"`, `"${1}x$$"`, `"$1x"`), m.str())
	case 14:
		if m.mode == "rule" {
			return call(m.pick("humanize", "humanize1024", "humanizeDuration", "humanizePercentage", "humanizeTimestamp", "toTime", "toDuration"), m.number())
		}
		return call(m.pick("toJson", "humanizeDuration"), m.any())
	case 15:
		if m.mode == "rule" {
			return call(m.pick("parseDuration", "stripPort", "stripDomain", "graphLink"), m.str())
		}
		return call(m.pick("trimSpace", "urlUnescape", "base64encode", "base64decode"), m.str())
	case 16:
		if m.mode == "rule" {
			return call("args", m.any(), m.any())
		}
		return m.pick(call("list", m.any(), m.any()), call("dict", `"k"`, m.any()), call("append", "(list 1)", m.any()), call("join", `","`, m.any()))
	case 17, 18:
		return m.number()
	case 19, 20:
		return m.str()
	default:
		return m.any()
	}
}

func (m *maker) pipeline() string {
	s := m.command()
	for m.r.Intn(4) == 0 {
		s += " | " + m.pick("print", "printf \"%v\"", "not", "html", "printf \"%q\"", "js", "print 1", "and 1", "len")
	}
	return s
}

func (m *maker) action(b *strings.Builder) {
	m.depth++
	defer func() { m.depth-- }()
	open, end := m.pick("{{", "{{ ", "{{- ", "{{"), m.pick("}}", " }}", " -}}")
	act := func(s string) { b.WriteString(open + s + end) }
	mark := len(m.vars)
	switch n := m.r.Intn(14); {
	case n < 6 || m.depth > 4:
		act(m.pipeline())
	case n == 6:
		name := m.pick("$a", "$b", "$c")
		act(name + " := " + m.pipeline())
		m.vars = append(m.vars, name)
	case n == 7 && len(m.vars) > 0:
		act(m.pick(m.vars...) + " = " + m.pipeline())
	case n == 8:
		act("/* comment */")
	case n < 11:
		word := m.pick("if", "with")
		act(word + " " + m.pipeline())
		m.text(b)
		if m.r.Intn(2) == 0 {
			m.vars = m.vars[:mark]
			if m.r.Intn(3) == 0 {
				act("else " + word + " " + m.pipeline())
				m.text(b)
				m.vars = m.vars[:mark]
			}
			act("else")
			m.text(b)
		}
		act("end")
		m.vars = m.vars[:mark]
	case n == 11:
		s := "range "
		if m.r.Intn(2) == 0 {
			s += "$i, $x := "
			m.vars = append(m.vars, "$i", "$x")
		}
		act(s + m.pick("3", "(len \"ab\")", "(print 1)", map[string]string{"rule": "$labels", "notify": ".CommonLabels.SortedPairs"}[m.mode],
			map[string]string{"rule": "(query \"up\")", "notify": ".Alerts"}[m.mode], "nil"))
		m.text(b)
		if m.r.Intn(3) == 0 {
			act(m.pick("break", "continue"))
		}
		act("end")
		m.vars = m.vars[:mark]
	default:
		act(m.pipeline())
	}
}

func (m *maker) text(b *strings.Builder) {
	for i := m.r.Intn(2); i >= 0; i-- {
		b.WriteString(m.pick("", " ", "x", "text\n", "é ", "}}", "{ {", "-"))
		m.action(b)
	}
	b.WriteString(m.pick("", " ", "\n", "z"))
}

func random(seed int64, count int) {
	r := rand.New(rand.NewSource(seed))
	w := bufio.NewWriter(os.Stdout)
	for i := 0; i < count; i++ {
		m := &maker{r: r, mode: []string{"rule", "notify"}[i%2]}
		var b strings.Builder
		m.text(&b)
		l := line{Mode: m.mode, In: b.String()}
		l.fill()
		l.write(w)
	}
	w.Flush()
}

func main() {
	switch {
	case len(os.Args) == 3 && os.Args[1] == "fill":
		fill(os.Args[2])
	case len(os.Args) == 4 && os.Args[1] == "random":
		seed, _ := strconv.ParseInt(os.Args[2], 10, 64)
		count, _ := strconv.Atoi(os.Args[3])
		random(seed, count)
	default:
		fmt.Fprintln(os.Stderr, "usage: cases fill FILE | cases random SEED COUNT")
		os.Exit(2)
	}
}
