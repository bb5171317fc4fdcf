package provider

import (
	"testing"

	"github.com/berrygate/berry/core/messages"
	"github.com/berrygate/berry/core/provider/adapter"
	"github.com/berrygate/berry/internal/readmetest"
)

// messageParameters are what a message can be asked for with, and an example of each.
func messageParameters() [][2]string {
	const tool = `"tools":[{"name":"f","input_schema":{"type":"object"}}]`
	content := func(block string) string { return `"messages":[{"role":"user","content":[` + block + `]}]` }
	called := func(result string) string {
		return `"messages":[{"role":"user","content":"Hi!"},{"role":"assistant","content":[{"type":"tool_use","id":"1","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"1",` + result + `}]}]`
	}
	return [][2]string{
		{"`system`", `"system":"Be brief."`},
		{"`tool_use`, `tool_result`", called(`"content":"x"`)},
		{"… `is_error`", called(`"content":"x","is_error":true`)},
		{"… an image in it", called(`"content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AAAA"}}]`)},
		{"an image by URL", content(`{"type":"image","source":{"type":"url","url":"https://example.com/a.png"}}`)},
		{"an image as data", content(`{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AAAA"}}`)},
		{"a PDF as data", content(`{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"AAAA"}}`)},
		{"… by URL", content(`{"type":"document","source":{"type":"url","url":"https://example.com/a.pdf"}}`)},
		{"a document of text", content(`{"type":"document","source":{"type":"text","media_type":"text/plain","data":"x"}}`)},
		{"… with `citations`", content(`{"type":"document","citations":{"enabled":true},"source":{"type":"text","media_type":"text/plain","data":"x"}}`)},
		{"a `file_id`", content(`{"type":"image","source":{"type":"file","file_id":"file-1"}}`)},
		{"`search_result`", content(`{"type":"search_result","source":"x","title":"x","content":[]}`)},
		{"`thinking`, `redacted_thinking` of before", `"messages":[{"role":"user","content":"Hi!"},{"role":"assistant","content":[{"type":"thinking","thinking":"x","signature":"x"}]}]`},
		{"a beginning of the answer", `"messages":[{"role":"user","content":"Hi!"},{"role":"assistant","content":"Well"}]`},
		{"`max_tokens`", `"max_tokens":8`},
		{"`temperature`", `"temperature":0.5`},
		{"`top_p`", `"top_p":0.5`},
		{"`top_k`", `"top_k":5`},
		{"`stop_sequences`", `"stop_sequences":["x"]`},
		{"`stream`", `"stream":true`},
		{"`tools`", tool},
		{"… `strict`", `"tools":[{"name":"f","strict":true,"input_schema":{"type":"object"}}]`},
		{"… the provider's own", `"tools":[{"type":"web_search_20250305","name":"web_search"}]`},
		{"`tool_choice` `any`", tool + `,"tool_choice":{"type":"any"}`},
		{"… `none`", tool + `,"tool_choice":{"type":"none"}`},
		{"… `tool`", tool + `,"tool_choice":{"type":"tool","name":"f"}`},
		{"… `disable_parallel_tool_use`", tool + `,"tool_choice":{"type":"auto","disable_parallel_tool_use":true}`},
		{"`thinking` `enabled`", `"thinking":{"type":"enabled","budget_tokens":10000}`},
		{"… `adaptive`, `disabled`", `"thinking":{"type":"adaptive"}`},
		{"`output_config` `effort`", `"output_config":{"effort":"high"}`},
		{"… `format`", `"output_config":{"format":{"type":"json_schema","schema":{"type":"object"}}}`},
		{"`metadata` `user_id`", `"metadata":{"user_id":"u"}`},
		{"`service_tier` `standard_only`", `"service_tier":"standard_only"`},
		{"`cache_control`, anywhere", `"cache_control":{"type":"ephemeral"}`},
		{"`container`", `"container":"x"`},
		{"`mcp_servers`", `"mcp_servers":[{"name":"x"}]`},
		{"`context_management` of thoughts", `"context_management":{"edits":[{"type":"clear_thinking_20251015","keep":"all"}]}`},
		{"… of anything else", `"context_management":{"edits":[{"type":"clear_tool_uses_20250919"}]}`},
		{"what nobody has heard of", `"news":"from the future"`},
	}
}

// README.md says what becomes of each parameter of a message at providers that do not speak Anthropic's API.
func TestMessageParameters(t *testing.T) {
	all := dialects(t)
	table := "| | openai, azure | gemini |\n|---|---|---|\n"
	for _, p := range messageParameters() {
		table += "| " + p[0]
		for _, typ := range []string{"openai", "gemini"} {
			call := adapter.Call{Path: "/messages", Model: map[string]string{"openai": "gpt-5.2", "gemini": "gemini-2.5-flash"}[typ]}
			table += " | " + changed(t, messages.Translate(all[typ], "/chat/completions"), call, `"max_tokens":9,"messages":[{"role":"user","content":"Hi!"}]`, p[1])
		}
		table += " |\n"
	}
	readmetest.Table(t, "README.md", "messages", table)
}
