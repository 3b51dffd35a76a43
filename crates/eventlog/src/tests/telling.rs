//! What an operator is told of a consumer.

use super::recorder::{Recorder, Then, content};
use super::world::{DEAD, GROUP, STREAM, World, json, run};
use crate::Lag;
use crate::lag::lag;
use kernel::Timestamp;

async fn lag_of_pay(world: &World) -> Lag {
    let found = lag(&world.url()).await.unwrap();
    found.into_iter().find(|lag| lag.consumer == GROUP).unwrap()
}

async fn told(world: &World) -> [i64; 3] {
    let Lag { unread, pending, dead_letters, .. } = lag_of_pay(world).await;
    [unread, pending, dead_letters]
}

#[test]
fn it_is_told_what_a_consumer_has_not_read_not_acknowledged_and_given_up_on() {
    run(async |world| {
        assert_eq!(told(&world).await, [0, 0, 0], "where nothing was ever told");
        world.append([1, 2]);
        assert_eq!(told(&world).await, [2, 0, 0], "where it has not begun");
        world.drain(&content()).await;
        assert_eq!(told(&world).await, [0, 0, 0]);
        world.append([3, 4, 5]);
        assert_eq!(told(&world).await, [3, 0, 0]);
        world.drain(&Recorder::new(|_| Then::Later)).await;
        assert_eq!(told(&world).await, [0, 3, 0]);
        // Redis itself does not know the number where entries in the middle are gone.
        world.append([6, 7, 8]);
        let middle = world.ids()[6].clone();
        world.redis::<i64>(&["XDEL", STREAM, &middle]);
        assert_eq!(told(&world).await, [2, 3, 0]);
        world.put_dead(DEAD, STREAM, "1-9", &json("reservation", "ReservationRejected", 9));
        assert_eq!(told(&world).await, [2, 3, 1]);
    });
}

#[test]
fn it_is_told_since_when_the_oldest_event_waits() {
    run(async |world| {
        let oldest = async || lag_of_pay(&world).await.streams.pop().unwrap().oldest;
        assert_eq!(oldest().await, None);
        world.append([1]);
        assert_eq!(oldest().await, Some(Timestamp::from_millis(0)), "before it has begun");
        world.drain(&Recorder::new(|_| Then::Later)).await;
        assert_eq!(oldest().await, Some(Timestamp::from_millis(0)), "while it has not acknowledged it");
        world.read(GROUP, &[]);
        assert_eq!(oldest().await, None);
        world.append_text("no event");
        assert_eq!((told(&world).await, oldest().await), ([1, 0, 0], None));
    });
}
