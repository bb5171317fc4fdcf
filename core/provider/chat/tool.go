package chat

import (
	"github.com/tidwall/gjson"

	"github.com/berrygate/berry/core/provider/strictjson"
)

func tool(v strictjson.Value) Tool {
	var t Tool
	v.Members(func(key string, v strictjson.Value) {
		switch key {
		case "type":
			v.Only(`"function"`)
		case "function":
			v.Members(func(key string, v strictjson.Value) {
				switch key {
				case "name":
					t.Name = v.Text()
				case "description":
					t.Description = v.Text()
				case "parameters":
					t.Parameters = v.Object()
				case "strict":
					t.Strict = v.Flag()
				default:
					v.Unsupported()
				}
			})
		default:
			v.Unsupported()
		}
	})
	if t.Name == "" {
		v.Fail("must be a function with a name.")
	}
	return t
}

func toolChoice(v strictjson.Value) ToolChoice {
	if v.Type == gjson.String {
		return ToolChoice{Mode: toolMode(v)}
	}
	c := ToolChoice{Mode: "required"}
	v.Members(func(key string, v strictjson.Value) {
		switch key {
		case "type":
			if v.Str != "function" && v.Str != "allowed_tools" {
				v.Unsupported()
			}
		case "function":
			c.Names = []string{name(v)}
		case "allowed_tools":
			v.Members(func(key string, v strictjson.Value) {
				switch key {
				case "mode":
					c.Mode = toolMode(v)
				case "tools":
					v.Elements(func(v strictjson.Value) { c.Names = append(c.Names, tool(v).Name) })
				default:
					v.Unsupported()
				}
			})
		default:
			v.Unsupported()
		}
	})
	if len(c.Names) == 0 {
		v.Fail("names no tool.")
	}
	return c
}

func toolMode(v strictjson.Value) string {
	switch mode := v.Text(); mode {
	case "auto", "none", "required":
		return mode
	default:
		v.Fail("must be auto, none or required, or name tools.")
		return ""
	}
}

// name returns the name of {"name": …}.
func name(v strictjson.Value) string {
	var out string
	v.Members(func(key string, v strictjson.Value) {
		if key == "name" {
			out = v.Text()
		} else {
			v.Unsupported()
		}
	})
	return out
}

func format(v strictjson.Value) Format {
	var f Format
	v.Members(func(key string, v strictjson.Value) {
		switch key {
		case "type":
			switch f.Kind = v.Text(); f.Kind {
			case "text":
				f.Kind = ""
			case "json_object", "json_schema":
			default:
				v.Unsupported()
			}
		case "json_schema":
			v.Members(func(key string, v strictjson.Value) {
				switch key {
				case "schema":
					f.Schema = v.Object()
				case "description":
					f.Description = v.Text()
				case "name": // tells nothing that the schema does not
					v.Text()
				case "strict": // other providers know no other way
					v.Flag()
				default:
					v.Unsupported()
				}
			})
		default:
			v.Unsupported()
		}
	})
	if f.Kind == "json_schema" && f.Schema == nil {
		v.Fail("must have a json_schema with a schema.")
	}
	return f
}
