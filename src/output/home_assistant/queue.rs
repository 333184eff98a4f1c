//! The messages that are still to be said to the broker. Of each topic the last word counts, so that it never grows beyond the fleet.

use std::collections::{BTreeMap, VecDeque};

use super::picture::{Message, Picture};

/// The messages in their order: the configurations first, then the states, and then that we are there.
#[derive(Debug)]
pub(super) struct Queue {
    /// The word that we are there.
    online: Message,
    picture: Option<Picture>,
    configs: VecDeque<Message>,
    states: VecDeque<Message>,
    /// The last words on each configuration.
    said: BTreeMap<String, String>,
    is_online: bool,
}

impl Queue {
    /// Nothing is to be said before the first picture.
    pub(super) fn new(online: Message) -> Self {
        Self {
            online,
            picture: None,
            configs: VecDeque::new(),
            states: VecDeque::new(),
            said: BTreeMap::new(),
            is_online: false,
        }
    }

    /// Says everything once more: the broker or its listeners may have nothing of it.
    pub(super) fn begin(&mut self) {
        self.said.clear();
        self.is_online = false;
        self.fill();
    }

    /// Says this in place of what is not said yet.
    pub(super) fn show(&mut self, picture: Picture) {
        self.picture = Some(picture);
        self.fill();
    }

    fn fill(&mut self) {
        let Some(picture) = &self.picture else { return };
        let is_new = |message: &&Message| self.said.get(&message.topic) != Some(&message.payload);
        self.configs = picture.configs.iter().filter(is_new).cloned().collect();
        self.states = picture.states.iter().cloned().collect();
    }

    /// The next word.
    pub(super) fn next(&self) -> Option<&Message> {
        let online = (!self.is_online && self.picture.is_some()).then_some(&self.online);
        self.configs.front().or(self.states.front()).or(online)
    }

    /// The next word is said.
    pub(super) fn next_is_said(&mut self) {
        if let Some(Message { topic, payload }) = self.configs.pop_front() {
            self.said.insert(topic, payload);
        } else if self.states.pop_front().is_none() {
            self.is_online = true;
        }
    }

    /// Whether all is said.
    pub(super) fn is_empty(&self) -> bool {
        self.picture.is_some() && self.next().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(topic: &str, payload: &str) -> Message {
        Message { topic: topic.to_owned(), payload: payload.to_owned() }
    }

    fn picture(config: &str, state: &str) -> Picture {
        Picture { configs: vec![message("c", config)], states: vec![message("s", state)] }
    }

    fn all_said(queue: &mut Queue) -> Vec<String> {
        let mut said = Vec::new();
        while let Some(Message { topic, payload }) = queue.next() {
            said.push(format!("{topic} {payload}"));
            queue.next_is_said();
        }
        said
    }

    #[test]
    fn that_we_are_there_is_said_last_and_only_once_there_is_a_state() {
        let mut queue = Queue::new(message("a", "online"));
        queue.begin();
        assert_eq!(all_said(&mut queue), Vec::<String>::new());
        queue.show(picture("1", "x"));
        assert_eq!(all_said(&mut queue), ["c 1", "s x", "a online"]);
        assert!(queue.is_empty());
    }

    #[test]
    fn a_configuration_is_said_again_when_it_changes_and_a_state_with_each_cycle() {
        let mut queue = Queue::new(message("a", "online"));
        queue.show(picture("1", "x"));
        all_said(&mut queue);
        queue.show(picture("1", "x"));
        assert_eq!(all_said(&mut queue), ["s x"]);
        queue.show(picture("2", "x"));
        assert_eq!(all_said(&mut queue), ["c 2", "s x"]);
    }

    #[test]
    fn everything_is_said_again_on_a_new_connection() {
        let mut queue = Queue::new(message("a", "online"));
        queue.show(picture("1", "x"));
        all_said(&mut queue);
        queue.begin();
        assert_eq!(all_said(&mut queue), ["c 1", "s x", "a online"]);
    }

    #[test]
    fn what_was_not_said_in_time_is_replaced_by_what_came_later() {
        let mut queue = Queue::new(message("a", "online"));
        for cycle in 0..1_000 {
            queue.show(picture("1", &cycle.to_string()));
        }
        assert_eq!(all_said(&mut queue), ["c 1", "s 999", "a online"]);
    }
}
