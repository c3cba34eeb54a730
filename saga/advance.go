package saga

import "slices"

// advance starts whatever can start now and says where the run stands.
func (m *machine) advance(verified bool) Outcome {
	if m.p.Direction == Forward && !m.p.Halted {
		m.judge()
	}
	switch {
	case m.p.Halted && m.anyRunning():
		return Running
	case m.p.Halted && (m.p.Direction == Forward || m.anyLeft()):
		return Halted
	case m.p.Direction == Forward:
		return m.forward(verified)
	default:
		return m.backward()
	}
}

// judge turns or halts the run when a step that it cannot do without has failed
// for good.
func (m *machine) judge() {
	for i := range m.p.Steps {
		s := m.p.Steps[i]
		if s.Phase != Failed || m.p.satisfied(m.plan, i) || m.p.retries(m.plan, i) {
			continue
		}
		cause := &Cause{Step: m.plan.Steps[i].Name, Err: s.Err, Code: s.Code}
		if m.p.HaltOnFailure {
			m.p.Halted, m.p.Cause = true, cause
			return
		}
		m.turn(cause)
		return
	}
}

// forward starts every step whose needs are satisfied.
func (m *machine) forward(verified bool) Outcome {
	for i := range m.p.Steps {
		s := &m.p.Steps[i]
		again := m.p.retries(m.plan, i)
		fresh := s.Phase == Planned || s.Phase == Compensated
		if !again && !fresh || !m.needsSatisfied(i) {
			continue
		}
		action := Action{Kind: ActDo, Step: m.plan.Steps[i].Name, Resumed: s.Resumed}
		if again {
			action.Delay = m.plan.Steps[i].Policy.backoff(s.Attempt)
		}
		s.Attempt++
		s.Run = m.run
		m.set(i, Started, "")
		action.Attempt = s.Attempt
		m.actions = append(m.actions, action)
	}
	if !m.allSatisfied() {
		return Running
	}
	if verified {
		return Completed
	}
	m.actions = append(m.actions, Action{Kind: ActVerify})
	return Running
}

// backward starts the compensation of every step on which nothing that is
// still there depends.
func (m *machine) backward() Outcome {
	left := false
	for i := range m.p.Steps {
		if !m.p.begun(m.plan, i) {
			continue
		}
		left = true
		s := &m.p.Steps[i]
		tries := s.Phase != CompensationFailed || !s.Permanent && s.Compensation <= m.plan.Steps[i].Policy.CompensateRetries
		if s.Phase.Running() || !tries || m.needed(i) {
			continue
		}
		action := Action{Kind: ActCompensate, Step: m.plan.Steps[i].Name, Resumed: s.Resumed}
		if s.Phase == CompensationFailed && s.Compensation > 0 {
			action.Delay = m.plan.Steps[i].Policy.backoff(s.Compensation)
		}
		s.Compensation++
		m.set(i, Compensating, "")
		action.Attempt = s.Compensation
		m.actions = append(m.actions, action)
	}
	switch {
	case !left:
		return Reverted
	case m.anyRunning():
		return Running
	default:
		return Stuck
	}
}

// needed reports whether a step that is still (partly) there needs step i, be it
// through others.
func (m *machine) needed(i int) bool {
	dependents := map[string]bool{m.plan.Steps[i].Name: true}
	for j := i + 1; j < len(m.plan.Steps); j++ {
		if !slices.ContainsFunc(m.plan.Steps[j].Needs, func(need string) bool { return dependents[need] }) {
			continue
		}
		if m.p.begun(m.plan, j) {
			return true
		}
		dependents[m.plan.Steps[j].Name] = true
	}
	return false
}

// needsSatisfied reports whether everything that step i needs is there, also what it
// needs through others: a step in between may still be done when one below it has to
// be made again.
func (m *machine) needsSatisfied(i int) bool {
	for _, need := range m.plan.Steps[i].Needs {
		if j := m.plan.Index(need); j < 0 || !m.p.satisfied(m.plan, j) || !m.needsSatisfied(j) {
			return false
		}
	}
	return true
}

// anyLeft reports whether compensation still has to deal with a step.
func (m *machine) anyLeft() bool {
	return slices.ContainsFunc(m.plan.Steps, func(s Spec) bool { return m.p.begun(m.plan, m.plan.Index(s.Name)) })
}

// allSatisfied reports whether a run that goes forward has nothing left to do.
func (m *machine) allSatisfied() bool {
	for i := range m.p.Steps {
		if !m.p.satisfied(m.plan, i) {
			return false
		}
	}
	return true
}

// anyRunning reports whether an attempt is under way.
func (m *machine) anyRunning() bool {
	return slices.ContainsFunc(m.p.Steps, func(s StepState) bool { return s.Phase.Running() })
}
