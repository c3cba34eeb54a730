package settings

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Encode encodes a configuration for a session's record.
func Encode(cfg Config) (json.RawMessage, error) {
	data, err := json.Marshal(cfg)
	if err != nil {
		return nil, fmt.Errorf("encode the configuration: %w", err)
	}
	return data, nil
}

// Decode is the configuration that a session's record holds.
func Decode(data json.RawMessage) (Config, error) {
	cfg := Defaults()
	cfg.InheritEnv = nil
	err := json.Unmarshal(data, &cfg)
	return cfg, err
}

// Same reports whether two configurations ask for the same, but for what was chosen
// for one session.
func (c Config) Same(other Config) bool {
	if c.Choice.NoInherit || other.Choice.NoInherit {
		c.InheritEnv, other.InheritEnv = nil, nil
	}
	if c.Choice.Synced || other.Choice.Synced {
		c.Hooks, other.Hooks = Hooks{}, Hooks{}
		c.Databases, other.Databases = nil, nil
		c.Steps, other.Steps = nil, nil
	}
	c.Choice, other.Choice = Choice{}, Choice{}
	c.ProcessManager, other.ProcessManager = "", ""
	one, err1 := Encode(c)
	two, err2 := Encode(other)
	return err1 == nil && err2 == nil && bytes.Equal(one, two)
}
