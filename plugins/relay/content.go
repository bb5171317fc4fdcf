package relay

import (
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/tidwall/gjson"

	"github.com/berrygate/berry/core/jsonx"
)

// Content gathers what was asked and answered, for traces, in the form of the GenAI conventions: a list of messages, each with
// parts. Of either direction it takes a limited number of bytes of text.
type content struct {
	most    int
	choices [][]byte // what each has said so far
	taken   int      // bytes of choices
}

type message struct {
	Role   string `json:"role"`
	Parts  []part `json:"parts"`
	Finish string `json:"finish_reason,omitempty"`
}

type part struct {
	Type    string `json:"type"`
	Content string `json:"content"`
}

func text(role, s string) message { return message{Role: role, Parts: []part{{"text", s}}} }

// asked returns the messages, or the prompt, of a request; "" if it has neither.
func (c *content) asked(body []byte) string {
	root := jsonx.View(body)
	in := input{left: c.most}
	if system := root.Get("system"); system.Exists() { // as Anthropic's API has it
		in.add("system", said(system, in.left))
	}
	root.Get("messages").ForEach(func(_, m gjson.Result) bool { return in.add(m.Get("role").String(), said(m.Get("content"), in.left)) })
	if prompt := root.Get("prompt"); prompt.Exists() {
		in.add("user", said(prompt, in.left))
	}
	return marshal(in.list)
}

// mostMessages is how many messages are taken at most, be they without text.
const mostMessages = 1000

// An input is the messages of a request, of which so many bytes of text are still taken.
type input struct {
	left int
	list []message
}

// add takes a message, and returns false if nothing more is taken after it.
func (in *input) add(role, s string) bool {
	const longest = 20 // of a role's name
	s = truncate(s, in.left)
	in.left -= len(s)
	in.list = append(in.list, text(truncate(role, longest), s))
	return in.left > 0 && len(in.list) < mostMessages
}

// said returns the text of a message's content, be it a string or a list of parts, up to most bytes of it.
func said(v gjson.Result, most int) string {
	if v.Type == gjson.String {
		return truncate(v.Str, most)
	}
	var out strings.Builder
	v.ForEach(func(_, p gjson.Result) bool {
		text := p.Get("text").String()
		taken := truncate(text, most-out.Len())
		out.WriteString(taken)
		return len(taken) == len(text)
	})
	return out.String()
}

// said gathers what a choice says, or the next piece of it.
func (c *content) said(choice gjson.Result) {
	i := int(choice.Get("index").Int())
	const most = 16
	if i < 0 || i >= most {
		return
	}
	for _, path := range []string{"message.content", "delta.content", "text"} {
		c.more(i, said(choice.Get(path), c.most-c.taken))
	}
}

// more adds to what the choice has said.
func (c *content) more(choice int, s string) {
	for len(c.choices) <= choice {
		c.choices = append(c.choices, nil)
	}
	s = truncate(s, c.most-c.taken)
	c.choices[choice] = append(c.choices[choice], s...)
	c.taken += len(s)
}

// message gathers what a message of Anthropic's says, or the next piece of it.
func (c *content) message(m, delta gjson.Result) {
	c.more(0, said(m.Get("content"), c.most-c.taken))
	c.more(0, delta.Get("text").String())
}

// answer returns what was gathered; "" if there is nothing.
func (c *content) answer(finish []string) string {
	var list []message
	for i, s := range c.choices {
		m := text("assistant", string(s))
		if i < len(finish) {
			m.Finish = finish[i]
		}
		list = append(list, m)
	}
	return marshal(list)
}

// marshal returns the list as JSON; "" if it is empty.
func marshal[T message | part](list []T) string {
	if len(list) == 0 {
		return ""
	}
	b, err := json.Marshal(list)
	if err != nil { // strings always marshal
		panic(err)
	}
	return string(b)
}

// truncate returns the first bytes of s, at most n, and no half of a character.
func truncate(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n = max(n, 0); n > 0 && !utf8.RuneStart(s[n]); n-- {
	}
	return s[:n]
}
