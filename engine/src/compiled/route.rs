//! One entry of `routes:`, compiled, and the decision whether it takes an event.

use std::sync::Arc;
use std::time::Duration;

use hookward_core::{BodyError, Handler};

use super::source::OnInvalid;
use crate::routing::{
    BudgetSpent, Condition, ConditionError, DataAddress, EventSchema, EventView, Pattern, TypeGlob,
};

/// One route: which events it takes, and the chain of steps that handles them.
#[derive(Debug)]
pub struct Route {
    /// The route's name, by which queued jobs find it after a reload.
    pub name: Arc<str>,
    /// `events:`, the SOURCE/TYPE globs, of which one must match.
    pub events: Vec<TypeGlob>,
    /// `match:`, the data pattern; `None` matches every event.
    pub pattern: Option<Pattern>,
    /// `when:`, the expression; `None` is true for every event.
    pub when: Option<Condition>,
    /// `schema:`, the JSON Schema of the body; `None` accepts every body.
    pub schema: Option<EventSchema>,
    /// What happens to an event that fails `schema`.
    pub on_invalid: OnInvalid,
    /// The steps in the order in which they run; at least one.
    pub chain: Vec<Step>,
    /// When a failed job is retried.
    pub retry: RetryPolicy,
    /// When the circuit breaker of a failing step opens.
    pub breaker: BreakerPolicy,
    /// The maximum number of jobs of this route that run at the same time.
    pub concurrency: usize,
    /// `order_by:`, the data whose value orders events: equal values run one after the other.
    pub order_by: Option<DataAddress>,
}

impl Route {
    /// Decides whether the route takes an event whose type already matches its globs.
    ///
    /// `match`, `when` and `schema` are evaluated in this order, from cheap to expensive, and the
    /// first that fails decides.
    pub fn evaluate(&self, event: &EventView<'_>) -> RouteDecision {
        match self.evaluate_with_body(event) {
            Ok(decision) => decision,
            Err(e) => RouteDecision::Invalid(vec![e.to_string()]),
        }
    }

    fn evaluate_with_body<'a>(
        &self,
        event: &EventView<'a>,
    ) -> Result<RouteDecision, &'a BodyError> {
        if let Some(pattern) = &self.pattern {
            match pattern.first_mismatch(event)? {
                Ok(None) => {}
                Ok(Some(address)) => return Ok(RouteDecision::PatternMismatch(address)),
                Err(spent) => return Ok(RouteDecision::BudgetSpent(spent)),
            }
        }
        if let Some(when) = &self.when {
            match when.evaluate(event)? {
                Ok(true) => {}
                Ok(false) => return Ok(RouteDecision::ConditionFalse),
                Err(ConditionError::BudgetSpent(spent)) => {
                    return Ok(RouteDecision::BudgetSpent(spent));
                }
                Err(error) => return Ok(RouteDecision::ConditionError(error.to_string())),
            }
        }
        if let Some(schema) = &self.schema {
            match schema.errors(event.json()?, event.budget()) {
                Ok(errors) if errors.is_empty() => {}
                Ok(errors) => return Ok(RouteDecision::Invalid(errors)),
                Err(spent) => return Ok(RouteDecision::BudgetSpent(spent)),
            }
        }
        Ok(RouteDecision::Matches)
    }
}

/// Whether a route takes an event and, where it does not, which of its conditions fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouteDecision {
    /// The route takes the event.
    Matches,
    /// `match:` does not fit; holds the first address that does not.
    PatternMismatch(String),
    /// `when:` is false for the event.
    ConditionFalse,
    /// `when:` could not be evaluated, which counts as false; holds the reason.
    ConditionError(String),
    /// The event is invalid for this route: the errors of `schema:`, or why the body cannot be
    /// parsed.
    Invalid(Vec<String>),
    /// The conditions cost more than the delivery may take, so that it is not known. The event is
    /// kept as invalid for this route.
    BudgetSpent(BudgetSpent),
}

/// One step of a chain, with its handler built.
#[derive(Debug, Clone)]
pub struct Step {
    /// The step's name, unique in its chain. A retry resumes at a step by this name.
    pub name: Arc<str>,
    /// The name of the handler plugin, or of the app's own function.
    pub handler_name: Arc<str>,
    /// The handler, built with the step's `with:` block.
    pub handler: Arc<dyn Handler>,
    /// How long one run of the step may take before it counts as failed.
    pub timeout: Duration,
}

/// `retry:`, when a failed job is retried and how often.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetryPolicy {
    /// The maximum number of attempts, the first one included.
    pub attempts: u32,
    /// The upper bound of the delay before the second attempt.
    pub first_delay: Duration,
    /// The factor by which the bound grows with each further attempt.
    pub factor: f64,
    /// The maximum delay, whatever the factor makes of it.
    pub max_delay: Duration,
    /// How a delay is chosen below its bound.
    pub jitter: Jitter,
}

/// `jitter:`, how a retry delay is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Jitter {
    /// At random, evenly between zero and the bound.
    #[default]
    Full,
    /// The bound itself, without chance.
    None,
}

/// `breaker:`, when the circuit breaker of a failing step opens, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerPolicy {
    /// The number of consecutive failures that opens the breaker; 0 turns it off.
    pub failures: u32,
    /// The minimum age of the first of these failures: a short burst does not open the breaker.
    pub window: Duration,
    /// How long the breaker stays open the first time; each further time doubles it.
    pub cooldown: Duration,
    /// The maximum time that the breaker stays open.
    pub max_cooldown: Duration,
}
