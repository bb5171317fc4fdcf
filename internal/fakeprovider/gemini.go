package fakeprovider

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// gemini implements the Gemini API (https://ai.google.dev/api/generate-content), in which calls have no ids, only their functions' names.
type gemini struct {
	model string
	calls []call // incomplete; Gemini does not split calls
}

type geminiRequest struct {
	SystemInstruction *geminiContent  `json:"systemInstruction"`
	Contents          []geminiContent `json:"contents"`
	Tools             []struct {
		FunctionDeclarations []struct {
			Name                 string          `json:"name"`
			Description          string          `json:"description"`
			ParametersJSONSchema json.RawMessage `json:"parametersJsonSchema"`
		} `json:"functionDeclarations"`
	} `json:"tools"`
	ToolConfig       *object `json:"toolConfig"`
	GenerationConfig struct {
		ResponseMIMEType   string          `json:"responseMimeType"`
		ResponseJSONSchema json.RawMessage `json:"responseJsonSchema"`
		MaxOutputTokens    int             `json:"maxOutputTokens"`
		Temperature        *float64        `json:"temperature"`
		ThinkingConfig     *object         `json:"thinkingConfig"`
	} `json:"generationConfig"`
}

type geminiContent struct {
	Role  string       `json:"role"`
	Parts []geminiPart `json:"parts"`
}

type geminiPart struct {
	Text       string `json:"text"`
	InlineData *struct {
		MIMEType string `json:"mimeType"`
		Data     string `json:"data"`
	} `json:"inlineData"`
	FileData *struct {
		MIMEType string `json:"mimeType"`
		FileURI  string `json:"fileUri"`
	} `json:"fileData"`
	FunctionCall *struct {
		ID   string          `json:"id"`
		Name string          `json:"name"`
		Args json.RawMessage `json:"args"`
	} `json:"functionCall"`
	FunctionResponse *struct {
		ID       string `json:"id"`
		Name     string `json:"name"`
		Response object `json:"response"`
	} `json:"functionResponse"`
	ThoughtSignature string `json:"thoughtSignature"`
}

type geminiEmbeddings struct {
	Requests []struct {
		Model                string        `json:"model"`
		Content              geminiContent `json:"content"`
		OutputDimensionality int           `json:"outputDimensionality"`
	} `json:"requests"`
}

func (s *gemini) decodeRequest(r *http.Request, body []byte) (path string, out any, key string, err error) {
	key = r.Header.Get("X-Goog-Api-Key")
	_, model, _ := strings.Cut(r.URL.Path, "/models/")
	model, method, _ := strings.Cut(model, ":")
	s.model = model
	switch method {
	case "batchEmbedContents":
		var in geminiEmbeddings
		if err := strictly(body, &in); err != nil {
			return "", nil, "", err
		}
		var texts []string
		for _, one := range in.Requests {
			texts = append(texts, one.Content.Parts[0].Text)
		}
		return "/v1/embeddings", object{"model": model, "input": texts}, key, nil
	case "generateContent", "streamGenerateContent":
		stream := method == "streamGenerateContent"
		if stream && r.URL.Query().Get("alt") != "sse" {
			return "", nil, "", errors.New("alt=sse")
		}
		out, err := chatOfGemini(model, stream, body)
		return "/v1/chat/completions", out, key, err
	default:
		return "", nil, "", errors.New("unknown method " + method)
	}
}

func chatOfGemini(model string, stream bool, body []byte) (object, error) {
	var in geminiRequest
	if err := strictly(body, &in); err != nil {
		return nil, err
	}
	if len(in.Contents) == 0 {
		return nil, errors.New("contents is not specified")
	}
	out := object{"model": model, "stream": stream}
	var messages, tools []any
	if in.SystemInstruction != nil {
		for _, p := range in.SystemInstruction.Parts {
			messages = append(messages, object{"role": "system", "content": p.Text})
		}
	}
	for i, c := range in.Contents {
		converted, err := c.openAI(model)
		if err != nil {
			return nil, fmt.Errorf("contents[%d]: %w", i, err)
		}
		messages = append(messages, converted...)
	}
	for _, t := range in.Tools {
		for _, f := range t.FunctionDeclarations {
			tools = append(tools, object{"type": "function", "function": object{"name": f.Name, "parameters": f.ParametersJSONSchema}})
		}
	}
	out["messages"] = messages
	if tools != nil {
		out["tools"] = tools
	}
	if c := in.GenerationConfig; c.ResponseJSONSchema != nil {
		out["response_format"] = object{"type": "json_schema", "json_schema": object{"name": "schema", "schema": c.ResponseJSONSchema}}
	}
	return out, nil
}

func (c geminiContent) openAI(model string) ([]any, error) {
	role := map[string]string{"user": "user", "model": "assistant"}[c.Role]
	if role == "" {
		return nil, errors.New("please use a valid role: user, model")
	}
	var messages, parts, calls []any
	for i, p := range c.Parts {
		switch {
		case p.InlineData != nil:
			parts = append(parts, object{"type": "image_url", "image_url": object{"url": "data:" + p.InlineData.MIMEType + ";base64," + p.InlineData.Data}})
		case p.FileData != nil:
			parts = append(parts, object{"type": "image_url", "image_url": object{"url": p.FileData.FileURI}})
		case p.FunctionCall != nil:
			if i == 0 && p.ThoughtSignature == "" && strings.HasPrefix(model, "gemini-3") {
				return nil, errors.New("function call is missing a thought_signature")
			}
			calls = append(calls, object{"id": p.FunctionCall.Name, "type": "function", "function": object{"name": p.FunctionCall.Name, "arguments": string(p.FunctionCall.Args)}})
		case p.FunctionResponse != nil:
			text, ok := p.FunctionResponse.Response["output"].(string)
			if !ok {
				text = string(marshal(p.FunctionResponse.Response))
			}
			messages = append(messages, object{"role": "tool", "tool_call_id": p.FunctionResponse.Name, "content": text})
		default:
			parts = append(parts, object{"type": "text", "text": p.Text})
		}
	}
	if parts == nil && calls == nil {
		return messages, nil
	}
	message := object{"role": role, "content": parts}
	if calls != nil {
		message["tool_calls"] = calls
	}
	return append(messages, message), nil
}

func (s *gemini) encodeResponse(a *answer) any {
	if a.Data != nil {
		var embeddings []any
		for _, d := range a.Data {
			embeddings = append(embeddings, object{"values": d.Embedding})
		}
		return object{"embeddings": embeddings}
	}
	c := a.Choices[0]
	return s.content(c.Message.Content, c.Message.ToolCalls, c.FinishReason, a.Usage)
}

func (s *gemini) content(text *string, calls []call, reason *string, u *usage) any {
	parts := []any{}
	if text != nil && *text != "" {
		parts = append(parts, object{"text": *text})
	}
	for i, call := range calls {
		part := object{"functionCall": object{"name": call.Function.Name, "args": json.RawMessage(call.Function.Arguments)}}
		if i == 0 {
			part["thoughtSignature"] = "c2lnbmF0dXJl"
		}
		parts = append(parts, part)
	}
	candidate := object{"content": object{"role": "model", "parts": parts}, "index": 0}
	if reason != nil {
		candidate["finishReason"] = map[string]string{"stop": "STOP", "tool_calls": "STOP", "length": "MAX_TOKENS", "content_filter": "SAFETY"}[*reason]
	}
	out := object{"candidates": []any{candidate}, "modelVersion": s.model}
	if u != nil {
		out["usageMetadata"] = object{"promptTokenCount": u.Prompt, "candidatesTokenCount": u.Completion}
	}
	return out
}

func (s *gemini) encodeChunk(a *answer) []byte {
	if a.Error != nil {
		_, body := s.encodeError(http.StatusInternalServerError, a.Error)
		return fmt.Appendf(nil, "data: %s\n\n", marshal(body))
	}
	if len(a.Choices) == 0 {
		return fmt.Appendf(nil, "data: %s\n\n", marshal(object{"modelVersion": s.model}))
	}
	c := a.Choices[0]
	for _, piece := range c.Delta.ToolCalls { // collected until all are complete
		if piece.ID != "" {
			s.calls = append(s.calls, piece)
		} else {
			s.calls[piece.Index].Function.Arguments += piece.Function.Arguments
		}
	}
	if len(c.Delta.ToolCalls) > 0 && c.FinishReason == nil {
		return nil
	}
	var calls []call
	if c.FinishReason != nil {
		calls, s.calls = s.calls, nil
	}
	return fmt.Appendf(nil, "data: %s\n\n", marshal(s.content(c.Delta.Content, calls, c.FinishReason, a.Usage)))
}

func (s *gemini) encodeDone() []byte { return nil } // the end of the body ends the stream

func (s *gemini) encodeError(status int, e *fault) (int, any) {
	word, message := "INVALID_ARGUMENT", e.Message
	switch {
	case status == http.StatusServiceUnavailable:
		word, message = "UNAVAILABLE", "The model is overloaded. Please try again later."
	case e.Type == "server_error":
		status, word = http.StatusInternalServerError, "INTERNAL"
	case e.Type == "rate_limit_exceeded":
		word = "RESOURCE_EXHAUSTED"
	case e.Code == "invalid_api_key": // Google reports it as an invalid argument
		status, message = http.StatusBadRequest, "API key not valid. Please pass a valid API key. ("+message+")"
	case e.Code == "permission_error":
		word = "PERMISSION_DENIED"
	case e.Code == "context_length_exceeded":
		message = "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."
	case e.Code == "content_filter":
		return http.StatusOK, object{"promptFeedback": object{"blockReason": "PROHIBITED_CONTENT"}}
	}
	return status, object{"error": object{"code": status, "message": message, "status": word}}
}
